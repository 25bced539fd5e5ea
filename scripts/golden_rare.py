"""More golden cases of functions, written as those of golden_functions.py: the rarer ones."""

GRID = "x: f[2, 3, 4, 5]; g: f[2, 3, 2, 2]*0.7"
# Half as large: sixteen terms of both signs are summed.
CUBIC = "x: f[2, 3, 4, 5]*0.5; g: f[2, 3, 2, 2]*0.7"
VOLUME = "x: f[2, 2, 3, 4, 2]; g: f[2, 2, 3, 1, 3]*0.7"

CASES = [(f"grid_sample(x, g, \"{mode}\", \"{padding}\", align_corners={align})", specs)
         for mode in ("bilinear", "nearest", "bicubic")
         for padding in ("zeros", "border", "reflection")
         for align in ("false", "true")
         for specs in ((CUBIC,) if mode == "bicubic" else (GRID, VOLUME))]
CASES += [
    ("grid_sample(x, g)", GRID),
    ("grid_sample(x, affine_grid(t, [2, 3, 3, 4], align_corners=true), padding_mode=\"border\", "
     "align_corners=true)", "x: f[2, 3, 4, 5]; t: f[2, 2, 3]*0.4"),
    ("affine_grid(t, [2, 1, 3, 4])", "t: f[2, 2, 3]"),
    ("affine_grid(t, (2, 3, 1, 4), align_corners=false)", "t: f[2, 2, 3]"),
    ("affine_grid(t, [1, 1, 2, 3, 4], align_corners=true)", "t: f[1, 3, 4]"),
]

# In order.
CASES += [(f"{name}(x, {dim})", spec) for name in ("cummax", "cummin", "logcumsumexp")
          for dim, spec in ((0, "x: f[5, 3]"), (-1, "x: f[2, 9]*4"), (1, "x: f[2, 4, 2]"))]
CASES += [(f"{name}(x, 1)", "x: i[3, 7]<4") for name in ("cummax", "cummin")]
CASES += [(f"quantile(x, 0.3, dim={dim}, interpolation=\"{how}\")", "x: f[4, 5]")
          for dim in (0, -1) for how in "linear lower higher midpoint nearest".split()]
CASES += [
    ("quantile(x, 0.5)", "x: f[4, 5]"),
    ("quantile(x, 1.0, keepdim=true)", "x: f[4, 5]"),
    ("quantile(x, q)", "x: f[4, 5]; q: v[3]*0.4"),
    ("quantile(x, q, dim=1, keepdim=true)", "x: f[4, 5]; q: v[3]*0.4"),
    ("quantile(masked_fill(x, m, nan), 0.6, dim=0)", "x: f[5, 4]; m: b[5, 4]"),
    ("nanquantile(masked_fill(x, m, nan), 0.6, dim=0)", "x: f[5, 4]; m: b[5, 4]"),
    ("nanquantile(masked_fill(x, m, nan), q, dim=1)", "x: f[3, 6]; m: b[3, 6]; q: v[2]*0.4"),
    ("kthvalue(x, 2)", "x: f[3, 5]"),
    ("kthvalue(x, 4, 0, true)", "x: f[5, 2]"),
    ("msort(x)", "x: f[5, 2]"),
    ("aminmax(x)", "x: f[5, 2]"),
    ("aminmax(x, dim=1, keepdim=true)", "x: f[5, 2]"),
    ("histc(x, 5, -1.5, 1.0)", "x: c[40]"),
    ("histc(x)", "x: c[40]"),
    ("argwhere(x)", "x: i[3, 4]<2"),
]

# Put together.
CASES += [(f"atleast_{n}d(x)", f"x: f[{shape}]") for n in (1, 2, 3)
          for shape in ("", "3", "2, 3", "2, 3, 1")]
CASES += [
    ("atleast_2d(x, y)", "x: f[]; y: f[3]"),
    ("block_diag(x, y, z)", "x: f[2, 3]; y: f[2]; z: f[]"),
    ("cartesian_prod(x, y)", "x: f[2]; y: f[3]"),
    ("dstack([x, y])", "x: f[2, 3]; y: f[2, 3]"),
    ("row_stack([x, y])", "x: f[2, 3]; y: f[3]"),
    ("hsplit(x, 2)", "x: f[2, 4]"),
    ("hsplit(x, [1, 2])", "x: f[4]"),
    ("vsplit(x, 2)", "x: f[4, 2]"),
    ("dsplit(x, 3)", "x: f[1, 2, 3]"),
    ("diagflat(x)", "x: f[2, 2]"),
    ("diagflat(x, -1)", "x: f[3]"),
    ("take(x, i)", "x: f[3, 4]; i: i[2, 3]<12"),
    ("take(x, neg(i))", "x: f[3, 4]; i: i[2, 3]<12"),
    ("select_scatter(x, y, 1, 2)", "x: f[3, 4]; y: f[3]"),
    ("select_scatter(x, y, 0, -1)", "x: f[3, 4]; y: f[4]"),
    ("slice_scatter(x, y, 1, 0, 3, 2)", "x: f[3, 4]; y: f[3, 2]"),
    ("slice_scatter(x, y, start=-2)", "x: f[3, 4]; y: f[2, 4]"),
    ("masked_scatter(x, m, y)", "x: f[3, 4]; m: b[3, 4]; y: f[2, 6]"),
    ("masked_scatter(x, m, y)", "x: f[3, 4]; m: b[4]; y: f[12]"),
    ("cross(x, y, 1)", "x: f[2, 3]; y: f[2, 3]"),
    ("cross(x, y, dim=-1)", "x: f[4, 3]; y: f[1, 3]"),
    ("x.where(m, y)", "x: f[2, 3]; m: b[2, 3]; y: f[3]"),
    ("x.where(m, 0.5)", "x: f[2, 3]; m: b[3]"),
    ("x.unfold(0, 3, 1)", "x: f[5]"),
    ("x.unfold(1, 2, 3)", "x: f[2, 6, 2]"),
    ("x.unfold(-1, 2, 1)", "x: f[2, 4]"),
]
CASES += [(f"rot90(x, {k}, [0, {d}])", "x: f[2, 3, 2]") for k in (-1, 0, 1, 2, 3) for d in (1, 2)]

# Numbers.
CASES += [
    ("fmod(x, y)", "x: f[3, 4]*4; y: p[4]"),
    ("fmod(x, -1.5)", "x: f[3, 4]*4"),
    ("fmod(x, 7)", "x: i[3, 4]<90"),
    ("fmax(x, y)", "x: f[3, 4]; y: f[4]"),
    ("fmax(masked_fill(x, m, nan), y)", "x: f[3, 4]; m: b[3, 4]; y: f[4]"),
    ("fmin(x, y)", "x: f[3, 4]; y: f[3, 4]"),
    ("fmin(x, masked_fill(y, m, nan))", "x: f[3, 4]; m: b[3, 4]; y: f[3, 4]"),
    ("float_power(x, 2)", "x: f[3, 4]"),
    ("float_power(x, y)", "x: u[3, 4]; y: f[4]"),
    ("float_power(x, y)", "x: i[3, 4]<9; y: i[4]<4"),
    ("xlogy(x, y)", "x: f[3, 4]; y: p[4]"),
    ("xlogy(masked_fill(x, m, 0.0), zeros_like(x))", "x: c[3, 4]; m: b[3, 4]"),
    ("xlogy(x, 2.5)", "x: f[3, 4]"),
    ("sinc(x)", "x: f[3, 4]"),
    ("sinc(masked_fill(x, m, 0.0))", "x: f[3, 4]; m: b[3, 4]"),
    ("entr(x)", "x: p[3, 4]"),
    ("ndtr(x)", "x: f[3, 4]*4"),
    ("log_ndtr(x)", "x: f[3, 4]*4"),
    ("log_ndtr(mul(x, 40))", "x: c[3, 4]"),
    ("expit(x)", "x: f[3, 4]"),
    ("psi(x)", "x: p[3, 4]"),
    ("gammaln(x)", "x: p[3, 4]"),
    ("pinverse(x)", "x: f[3, 2]"),
    ("upsample(x, scale_factor=2)", "x: f[1, 2, 3, 2]"),
    ("upsample(x, (5, 4), mode=\"bilinear\")", "x: f[1, 2, 3, 2]"),
    ("upsample_nearest(x, scale_factor=2)", "x: f[1, 2, 3, 2]"),
    ("upsample_bilinear(x, scale_factor=2)", "x: f[1, 2, 3, 2]"),
    ("split_with_sizes(x, [1, 2], 1)", "x: f[2, 3]"),
    ("sgn(x)", "x: f[3, 4]"),
    ("fix(x)", "x: f[3, 4]*4"),
    ("signbit(mul(x, 0.0))", "x: c[3, 4]"),
    ("copysign(x, y)", "x: f[3, 4]; y: c[4]"),
    ("copysign(x, -2)", "x: f[3, 4]"),
    ("heaviside(masked_fill(x, m, 0.0), y)", "x: c[3, 4]; m: b[3, 4]; y: c[3, 4]"),
    ("ldexp(x, y)", "x: f[3, 4]; y: i[4]<9"),
    ("logaddexp2(x, y)", "x: f[3, 4]*4; y: f[4]*4"),
    ("logaddexp(x, x)", "x: f[3, 4]"),
    ("logaddexp(mul(x, inf), mul(x, inf))", "x: c[3, 4]"),
    ("isposinf(div(x, zeros_like(x)))", "x: c[3, 4]"),
    ("isneginf(div(x, zeros_like(x)))", "x: c[3, 4]"),
    ("round(x, decimals=1)", "x: f[3, 4]*4"),
    ("round(x, decimals=-1)", "x: c[3, 4]*40"),
    ("addr(x, y, z)", "x: f[2, 3]; y: f[2]; z: f[3]"),
    ("addr(x, y, z, beta=0.5, alpha=2)", "x: f[3]; y: f[2]; z: f[3]"),
    ("ger(x, y)", "x: f[2]; y: f[3]"),
    ("vdot(x, y)", "x: f[3]; y: f[3]"),
    ("chain_matmul(x, y, z)", "x: f[2, 3]; y: f[3, 4]; z: f[4, 1]"),
    ("matrix_power(x, 0)", "x: c[2, 3, 3]"),
    ("matrix_power(x, 5)", "x: f[2, 3, 3]"),
    ("adjoint(x)", "x: f[2, 3, 4]"),
    ("trapezoid(y)", "y: f[3, 5]"),
    ("trapezoid(y, dx=0.5, dim=0)", "y: f[3, 5]"),
    ("trapezoid(y, x)", "y: f[3, 5]; x: f[5]"),
    ("trapz(y, x, dim=0)", "y: f[3, 5]; x: f[3]"),
    ("trapezoid(y, x, dim=1)", "y: f[2, 3, 4]; x: f[2, 3, 4]"),
    ("cov(x)", "x: f[3, 5]"),
    ("cov(x, correction=0)", "x: f[5]"),
    ("cov(x, fweights=w, aweights=a)", "x: f[3, 5]; w: i[5]<4; a: v[5]"),
    ("corrcoef(x)", "x: f[3, 5]"),
    ("renorm(x, 2, 0, 1.5)", "x: f[3, 4]"),
    ("renorm(x, 1, 1, 3.0)", "x: f[2, 3, 4]"),
    ("pdist(x)", "x: f[4, 3]"),
    ("pdist(x, 1)", "x: f[4, 3]"),
    ("pdist(x, 3.5)", "x: f[4, 3]"),
    ("pdist(x, inf)", "x: f[4, 3]"),
    ("sum_to_size(x, 3, 1)", "x: f[2, 3, 4]"),
    ("sum_to_size(x, [4])", "x: f[2, 3, 4]"),
    ("fill(x, 2.5)", "x: c[2, 3]"),
    ("hann_window(7, dtype=f64)", ""),
    ("hann_window(6, false, dtype=f64)", ""),
    ("hamming_window(7, dtype=f64)", ""),
    ("hamming_window(7, false, 0.6, 0.4, dtype=f64)", ""),
    ("blackman_window(7, dtype=f64)", ""),
    ("bartlett_window(7, dtype=f64)", ""),
    ("bartlett_window(6, false, dtype=f64)", ""),
    ("hann_window(1)", ""),
]

# In place.
CASES += [(f"{name}_(clone(x))", "x: f[2, 3]*0.45")
          for name in """acos asin atan cosh sinh tan erf erfc erfinv exp2 expm1 frac trunc
          deg2rad rad2deg sinc absolute negative selu arccos arcsin arctan fix""".split()]
CASES += [(f"{name}_(clone(x))", "x: p[2, 3]+1") for name in "log10 log1p log2".split()]
CASES += [(f"{name}_(clone(x), y)", "x: f[2, 3]*4; y: p[3]")
          for name in """multiply true_divide remainder fmod atan2 xlogy div divide arctan2""".split()]
CASES += [(f"{name}_(clone(x), y)", "x: c[2, 3]*4; y: c[3]")
          for name in """eq ne lt le gt ge not_equal less less_equal greater greater_equal heaviside
          ldexp float_power""".split()]
CASES += [(f"{name}_(clone(x), y)", "x: b[2, 3]; y: b[3]")
          for name in "logical_and logical_or logical_xor".split()]
CASES += [
    ("acosh_(clone(x))", "x: v[2, 3]+1"),
    ("asinh_(clone(x))", "x: c[2, 3]"),
    ("arcsinh_(clone(x))", "x: c[2, 3]"),
    ("arctanh_(clone(x))", "x: c[2, 3]*0.45"),
    ("arccosh_(clone(x))", "x: v[2, 3]+1"),
    ("addr_(clone(x), y, z)", "x: f[2, 3]; y: f[2]; z: f[3]"),
    ("addmv_(clone(x), y, z, beta=0.5)", "x: f[2]; y: f[2, 3]; z: f[3]"),
    ("addbmm_(clone(x), y, z, alpha=2)", "x: f[2, 4]; y: f[3, 2, 5]; z: f[3, 5, 4]"),
    ("atanh_(clone(x))", "x: c[2, 3]*0.45"),
    ("floor_divide_(clone(x), y)", "x: c[2, 3]*4; y: v[3]"),
    ("copysign_(clone(x), y)", "x: f[2, 3]; y: c[3]"),
    ("lerp_(clone(x), y, 0.3)", "x: f[2, 3]; y: f[2, 3]"),
    ("addcmul_(clone(x), y, z, value=0.5)", "x: f[2, 3]; y: f[3]; z: f[2, 3]"),
    ("addcdiv_(clone(x), y, z)", "x: f[2, 3]; y: f[3]; z: p[2, 3]"),
    ("addmm_(clone(x), y, z, beta=0.5)", "x: f[2, 3]; y: f[2, 4]; z: f[4, 3]"),
    ("baddbmm_(clone(x), y, z, alpha=2)", "x: f[2, 2, 3]; y: f[2, 2, 4]; z: f[2, 4, 3]"),
    ("cumsum_(clone(x), 1)", "x: f[2, 3]"),
    ("cumprod_(clone(x), 0)", "x: f[2, 3]"),
    ("clip_(clone(x), -0.5, 0.5)", "x: f[2, 3]"),
    ("nan_to_num_(clone(x), 1.0)", "x: f[2, 3]"),
    ("logit_(clone(x), 0.1)", "x: u[2, 3]"),
    ("renorm_(clone(x), 2, 0, 1.5)", "x: f[3, 4]"),
    ("masked_scatter_(clone(x), m, y)", "x: f[3, 4]; m: b[3, 4]; y: f[12]"),
    ("celu_(clone(x), 0.7)", "x: f[2, 3]"),
    ("hardtanh_(clone(x), -0.5, 0.5)", "x: f[2, 3]"),
    ("threshold_(clone(x), 0.5, 20.0)", "x: f[2, 3]"),
]
CASES += [
    ("fractional_max_pool3d(x, 2, output_size=(2, 3, 2), _random_samples=s)",
     "x: f[2, 2, 4, 5, 4]; s: v[2, 2, 3]*0.4"),
    ("fractional_max_pool3d(x, (1, 2, 1), output_ratio=(0.5, 0.6, 0.5), return_indices=true, "
     "_random_samples=s)", "x: f[2, 4, 5, 4]; s: v[1, 2, 3]*0.4"),
]
