"""More golden cases of functions, written as those of golden_functions.py: matrices, sets, special functions."""

# A matrix that is far from singular, and one that is positive definite.
FAR = "add(x, mul(eye(3), 4.0))"
POSITIVE = "add(matmul(x, transpose(x, -2, -1)), eye(3))"

CASES = [
    (f"inverse({FAR})", "x: f[3, 3]"),
    (f"matrix_power({FAR}, -2)", "x: f[3, 3]"),
    (f"inv({FAR})", "x: f[2, 3, 3]"),
    (f"solve({FAR}, y)", "x: f[3, 3]; y: f[3]", f"linalg.solve({FAR}, y)"),
    (f"solve({FAR}, y)", "x: f[2, 3, 3]; y: f[3, 2]", f"linalg.solve({FAR}, y)"),
    (f"solve({FAR}, y)", "x: f[2, 3, 3]; y: f[2, 3]", f"linalg.solve({FAR}, y)"),
    (f"solve({FAR}, y, left=false)", "x: f[3, 3]; y: f[2, 3]",
     f"linalg.solve({FAR}, y, left=false)"),
    (f"solve_triangular({FAR}, y, upper=true)", "x: f[3, 3]; y: f[3, 2]"),
    (f"solve_triangular({FAR}, y, upper=false, left=false)", "x: f[3, 3]; y: f[2, 3]"),
    ("solve_triangular(x, y, upper=true, unitriangular=true)", "x: f[2, 3, 3]; y: f[2, 3, 1]"),
    ("det(x)", "x: f[3, 3]"),
    ("det(x)", "x: f[2, 2, 4, 4]"),
    (f"slogdet({FAR})", "x: f[2, 3, 3]"),
    (f"logdet({FAR})", "x: f[3, 3]"),
    ("logdet(neg(eye(3)))", "x: c[1]"),
    (f"cholesky({POSITIVE})", "x: f[3, 3]"),
    (f"cholesky({POSITIVE}, upper=true)", "x: f[2, 3, 3]"),
    (f"cholesky_solve(y, cholesky({POSITIVE}))", "x: f[3, 3]; y: f[3, 2]"),
    (f"cholesky_inverse(cholesky({POSITIVE}))", "x: f[3, 3]"),
    ("matrix_exp(x)", "x: f[3, 3]"),
    ("matrix_exp(x)", "x: f[2, 4, 4]*0.2"),
    ("qr(x)", "x: f[4, 3]", "linalg.qr(x)"),
    ("qr(x)", "x: f[2, 3, 5]", "linalg.qr(x)"),
    ("qr(x)", "x: f[3, 3]", "linalg.qr(x)"),
    ("qr(x, mode=\"complete\")", "x: c[4, 2]", "linalg.qr(x, mode=\"complete\")"),
    ("qr(x, \"r\")", "x: c[4, 3]", "linalg.qr(x, \"r\")"),
    ("geqrf(x)", "x: c[4, 3]"),
    ("householder_product(x, y)", "x: f[4, 3]; y: f[2]"),
    ("householder_product(x, y)", "x: f[2, 3, 3]; y: f[2, 3]"),
    ("eigvalsh(x)", "x: f[4, 4]"),
    ("eigvalsh(x, UPLO=\"U\")", "x: f[2, 3, 3]"),
    ("svdvals(x)", "x: f[3, 4]"),
    ("svdvals(x)", "x: f[2, 4, 3]"),
    ("pinv(x)", "x: f[3, 4]"),
    ("pinv(x)", "x: f[2, 4, 3]"),
    ("pinv(matmul(x, y))", "x: c[4, 2]; y: c[2, 3]"),
    ("matrix_rank(matmul(x, y))", "x: c[4, 2]; y: c[2, 3]", "linalg.matrix_rank(matmul(x, y))"),
    ("vector_norm(x, 3.0, dim=1)", "x: f[3, 4]"),
    ("vector_norm(x)", "x: f[3, 4]"),
    ("cond(x)", "x: f[3, 3]", "linalg.cond(x)"),
    (f"cond({FAR}, 1)", "x: c[3, 3]", f"linalg.cond({FAR}, 1)"),
    ("cond(x, -2)", "x: f[3, 2]", "linalg.cond(x, -2)"),
    ("multi_dot([x, y, z])", "x: f[2]; y: f[2, 4]; z: f[4, 3]"),
    ("vecdot(x, y)", "x: f[2, 3]; y: f[2, 3]"),
    ("vecdot(x, y, dim=0)", "x: f[2, 3]; y: f[3]"),
]
CASES += [(f"matrix_norm(x, {o})", "x: f[2, 3, 4]")
          for o in ("\"fro\"", "\"nuc\"", "1", "-1", "2", "-2", "inf", "-inf")]
CASES += [
    ("matrix_norm(x)", "x: f[3, 4]"),
    ("matrix_norm(x, \"nuc\", dim=[0, 2], keepdim=true)", "x: f[3, 2, 4]"),
]

# Sets.
CASES += [
    ("unique(x)", "x: i[3, 5]<6"),
    ("unique(x, return_inverse=true, return_counts=true)", "x: i[3, 5]<6"),
    ("unique(x, return_counts=true)", "x: c[7]"),
    ("unique(x, dim=0)", "x: i[6, 2]<2"),
    ("unique(x, return_inverse=true, return_counts=true, dim=1)", "x: i[2, 7]<2"),
    ("unique_consecutive(x)", "x: i[12]<2"),
    ("unique_consecutive(x, return_inverse=true, return_counts=true)", "x: i[3, 5]<2"),
    ("unique_consecutive(x, return_inverse=true, return_counts=true, dim=0)", "x: i[9, 1]<2"),
    ("combinations(x)", "x: f[4]"),
    ("combinations(x, 3)", "x: f[5]"),
    ("combinations(x, with_replacement=true)", "x: f[3]"),
    ("nanmedian(x)", "x: f[3, 4]"),
    ("nanmedian(masked_fill(x, m, nan), dim=1)", "x: f[3, 4]; m: b[3, 4]"),
    ("nanmedian(masked_fill(x, m, nan), 0, true)", "x: f[9, 3]; m: b[9, 3]"),
]

# Into places.
CASES += [(f"scatter_reduce(x, {dim}, i, y, \"{how}\", include_self={own})",
           f"x: f[3, 4]; i: i[{shape}]<3; y: f[{shape}]")
          for how in ("sum", "prod", "mean", "amax", "amin") for own in ("true", "false")
          for dim, shape in ((0, "5, 4"), (1, "3, 5"))]
CASES += [(f"scatter_reduce(x, 0, i, y, \"{how}\")", "x: i[4]<9; i: i[6]<4; y: i[6]<9")
          for how in ("sum", "prod", "mean", "amax", "amin")]
CASES += [
    ("scatter_reduce(x, 0, i, y, \"prod\")", "x: c[4]; i: i[3]<4; y: c[5]"),
    ("scatter_reduce(masked_fill(x, m, 0.0), 0, i, masked_fill(y, n, 0.0), \"prod\")",
     "x: f[3]; m: b[3]; i: i[9]<3; y: f[9]; n: b[9]"),
]
CASES += [(f"index_reduce(x, {dim}, i, y, \"{how}\", include_self={own})",
           f"x: f[3, 4]; i: i[5]<3; y: f[{shape}]")
          for how in ("prod", "mean", "amax", "amin") for own in ("true", "false")
          for dim, shape in ((0, "5, 4"), (1, "3, 5"))]
CASES += [
    ("index_put(x, [i], y)", "x: f[4]; i: i[1]<4; y: f[1]"),
    ("index_put(x, [i], y)", "x: f[4, 3]; i: i[1]<4; y: f[3]"),
    ("index_put(x, [i, j], y, accumulate=true)", "x: f[4, 3]; i: i[6]<4; j: i[6]<3; y: f[6]"),
    ("index_put(x, [i], y, accumulate=true)", "x: f[4, 3]; i: i[2, 3]<4; y: f[3, 3]"),
    ("index_put(x, [m], y)", "x: f[4, 3]; m: b[4, 3]; y: f[1]"),
    ("index_put(x, [none, i], y, accumulate=true)", "x: f[2, 3]; i: i[4]<3; y: f[2, 4]",
     "index_add(x, 1, i, y)"),
    ("put(x, i, y)", "x: f[3, 4]; i: i[1]<12; y: f[1]"),
    ("put(x, i, y, true)", "x: f[3, 4]; i: i[2, 3]<12; y: f[2, 3]"),
]

# Integers.
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
CASES += [(f"{f}(x, y)", "x: i[3, 4]<99; y: i[4]<99") for f in (*BITS, "gcd", "lcm")]
CASES += [(f"{f}(neg(x), 6)", "x: i[3, 4]<99") for f in BITS]
CASES += [(f"{f}(x, y)", "x: b[3, 4]; y: b[4]") for f in BITS]
CASES += [(f"{f}(x, y)", "x: i[3, 4]<99; y: i[4]<9")
          for f in ("bitwise_left_shift", "bitwise_right_shift")]
CASES += [
    ("bitwise_left_shift(int(x), 31)", "x: i[4]<9"),
    ("bitwise_right_shift(neg(x), 2)", "x: i[4]<99"),
    ("bitwise_not(x)", "x: i[4]<99"),
    ("bitwise_not(x)", "x: b[4]"),
    ("bitwise_not(byte(x))", "x: i[4]<99"),
    ("is_nonzero(x)", "x: i[1]<1"),
    ("is_nonzero(x)", "x: c[1, 1]"),
]

# Special functions.
CASES += [(f"{f}(x)", f"x: {spec}") for f in ("lgamma", "digamma")
          for spec in ("p[3, 4]", "p[7]*9", "c[9]*3", "i[5]<9")]
CASES += [(f"polygamma({n}, x)", f"x: {spec}") for n in (0, 1, 2, 4) for spec in ("p[3, 4]", "p[7]*9")]
CASES += [
    ("i0(x)", "x: f[3, 4]"),
    ("i0(x)", "x: f[9]*6"),
    ("vander(x)", "x: c[4]"),
    ("vander(x, N=3, increasing=true)", "x: c[4]"),
    ("cumulative_trapezoid(y)", "y: f[3, 5]"),
    ("cumulative_trapezoid(y, dx=0.5, dim=0)", "y: f[3, 5]"),
    ("cumulative_trapezoid(y, x)", "y: f[3, 5]; x: f[5]"),
]

# In place.
CASES += [(f"{f}_(clone(x))", "x: p[3, 4]") for f in ("lgamma", "digamma", "i0", "sgn")]
CASES += [(f"{f}_(clone(x), y)", "x: i[3, 4]<99; y: i[4]<9") for f in
          (*BITS, "gcd", "lcm", "bitwise_left_shift", "bitwise_right_shift")]
CASES += [(f"{f}_(clone(x), y)", "x: f[3, 4]; y: f[4]") for f in ("hypot", "subtract")]
CASES += [
    ("bitwise_not_(clone(x))", "x: i[4]<99"),
    ("scatter_reduce_(clone(x), 0, i, y, \"prod\", include_self=false)",
     "x: f[3, 4]; i: i[5, 4]<3; y: f[5, 4]"),
    ("index_reduce_(clone(x), 1, i, y, \"amax\")", "x: f[3, 4]; i: i[5]<4; y: f[3, 5]"),
    ("index_put_(clone(x), [i], y, true)", "x: f[4, 3]; i: i[6]<4; y: f[3]"),
    ("put_(clone(x), i, y)", "x: f[3, 4]; i: i[1]<12; y: f[1]"),
]
