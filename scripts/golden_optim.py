"""Golden cases of optimizers and schedules: calls, run for STEPS steps.

Optimizers update two parameters by gradients drawn from the call, the step and the name. Schedules
start from `SGD(lr=0.1)` or what their second entry says; a row of them stands as `a |> b`, with the
milestones where PyTorch's SequentialLR wants them.
"""

STEPS = 6
PARAMETERS = {"a": (3, 4), "b": (5,)}
MATRICES = {"a": (3, 4), "b": (5, 2)}  # for what takes no others

OPTIMIZERS = [
    "SGD()", "SGD(lr=0.1)", "SGD(0.1, 0.9)", "SGD(lr=0.1, momentum=0.9, dampening=0.5)",
    "SGD(lr=0.1, momentum=0.9, weight_decay=0.05, nesterov=true)",
    "SGD(lr=0.1, momentum=0.5, weight_decay=0.1, maximize=true)", "SGD(lr=0.1, weight_decay=0.2)",
    "Adam()", "Adam(lr=0.05, betas=(0.8, 0.95), eps=1e-3)", "Adam(lr=0.05, weight_decay=0.1)",
    "Adam(lr=0.05, amsgrad=true)", "Adam(lr=0.05, weight_decay=0.1, amsgrad=true, maximize=true)",
    "Adam(lr=0.05, weight_decay=0.1, decoupled_weight_decay=true)",
    "AdamW()", "AdamW(lr=0.05, weight_decay=0.3)", "AdamW(lr=0.05, amsgrad=true)",
    "AdamW(0.05, (0.7, 0.9), 1e-4, 0.2, true, maximize=true)",
    "RMSprop()", "RMSprop(lr=0.05, alpha=0.9, eps=1e-4)", "RMSprop(lr=0.05, centered=true)",
    "RMSprop(lr=0.02, momentum=0.9, weight_decay=0.1)",
    "RMSprop(lr=0.02, momentum=0.9, centered=true, maximize=true)",
    "Adadelta()", "Adadelta(lr=0.5, rho=0.8, eps=1e-3, weight_decay=0.1)",
    "Adadelta(maximize=true)",
    "Adamax()", "Adamax(lr=0.05, betas=(0.8, 0.9), weight_decay=0.1, maximize=true)",
    "NAdam()", "NAdam(lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, momentum_decay=0.1)",
    "NAdam(lr=0.05, weight_decay=0.2, decoupled_weight_decay=true, maximize=true)",
    "RAdam()", "RAdam(lr=0.05, betas=(0.8, 0.7), weight_decay=0.1)",
    "RAdam(lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2, decoupled_weight_decay=true)",
    "Rprop()", "Rprop(lr=0.05, etas=(0.4, 1.6), step_sizes=(0.03, 0.1), maximize=true)",
    "ASGD()", "ASGD(lr=0.1, lambd=0.1, alpha=0.5, t0=2, weight_decay=0.1)",
    "Adagrad()", "Adagrad(lr=0.1, lr_decay=0.1, weight_decay=0.1)",
    "Adagrad(lr=0.1, initial_accumulator_value=0.5, eps=1e-3, maximize=true)",
    "Adafactor()", "Adafactor(lr=0.1, beta2_decay=-0.5, eps=(0.01, 0.3), d=2, weight_decay=0.1)",
    "Adafactor(0.05, maximize=true)",
    "Muon()", "Muon(lr=0.1, weight_decay=0.5, momentum=0.8, nesterov=false, ns_steps=3)",
    "Muon(0.05, ns_coefficients=(2, -1.5, 0.5), adjust_lr_fn=\"match_rms_adamw\")",
]

RATES = 40
SGD = "SGD(lr=0.1)"
SCHEDULES = [(text, SGD, ()) for text in [
    "StepLR(step_size=7)", "StepLR(3, gamma=0.5)", "MultiStepLR(milestones=[5, 11, 11, 30])",
    "MultiStepLR([4, 8], 0.3)", "ConstantLR()", "ConstantLR(factor=0.5, total_iters=9)",
    "LinearLR()", "LinearLR(start_factor=0.1, end_factor=0.7, total_iters=12)",
    "ExponentialLR(gamma=0.9)", "PolynomialLR()", "PolynomialLR(total_iters=13, power=2.0)",
    "CosineAnnealingLR(T_max=10)", "CosineAnnealingLR(T_max=25, eta_min=0.01)",
    "CosineAnnealingWarmRestarts(T_0=7)",
    "CosineAnnealingWarmRestarts(T_0=4, T_mult=2, eta_min=0.02)",
    "OneCycleLR(max_lr=0.5, total_steps=40)",
    "OneCycleLR(max_lr=0.5, epochs=8, steps_per_epoch=5, anneal_strategy=\"linear\")",
    "OneCycleLR(max_lr=0.5, total_steps=40, pct_start=0.4, three_phase=true, div_factor=10, "
    "final_div_factor=100, base_momentum=0.7, max_momentum=0.9)",
    "OneCycleLR(max_lr=0.5, total_steps=41, cycle_momentum=false)",
    "CyclicLR(base_lr=0.01, max_lr=0.2, step_size_up=6)",
    "CyclicLR(0.01, 0.2, 6, 3, mode=\"triangular2\")",
    "CyclicLR(0.01, 0.2, 5, mode=\"exp_range\", gamma=0.95, base_momentum=0.6)",
    "ReduceLROnPlateau()", "ReduceLROnPlateau(factor=0.5, patience=2)",
    "ReduceLROnPlateau(mode=\"max\", factor=0.5, patience=1, cooldown=3, min_lr=0.02)",
    "ReduceLROnPlateau(factor=0.7, patience=0, threshold=0.3, threshold_mode=\"abs\", eps=0.01)",
    "ReduceLROnPlateau(mode=\"max\", patience=1, threshold=0.2, threshold_mode=\"abs\")",
]]
SCHEDULES += [
    ("OneCycleLR(max_lr=0.01, total_steps=40)", "AdamW()", ()),
    ("CyclicLR(0.001, 0.01, 8)", "Adam(betas=(0.7, 0.99))", ()),
    ("LinearLR(start_factor=0.1, total_iters=5) |> CosineAnnealingLR(T_max=30)", SGD, (5,)),
    ("ConstantLR(factor=0.25, total_iters=4) |> LinearLR(total_iters=6) |> ExponentialLR(0.9)", SGD,
     (4, 10)),
    ("PolynomialLR(total_iters=8) |> StepLR(5)", SGD, (8,)),
    ("LinearLR(total_iters=3) |> MultiStepLR([0, 2, 9])", SGD, (3,)),
    ("LinearLR(total_iters=3) |> CosineAnnealingWarmRestarts(5, 2)", SGD, (3,)),
    ("CosineAnnealingLR(T_max=6) |> ConstantLR(factor=0.5, total_iters=0)", SGD, (6,)),
    ("ConstantLR(total_iters=2) |> PolynomialLR(total_iters=9, power=3.0)", SGD, (2,)),
    ("SequentialLR([LinearLR(total_iters=3), StepLR(4), ExponentialLR(0.8)], milestones=[5, 20])",
     SGD, ()),
    ("ChainedScheduler([ConstantLR(factor=0.1, total_iters=6), ExponentialLR(gamma=0.9)])", SGD, ()),
    ("ChainedScheduler([LinearLR(), StepLR(7), CosineAnnealingLR(T_max=30)])", SGD, ()),
]
