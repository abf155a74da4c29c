//! From a rank to evidence.

/// Below this the closed form loses its digits to cancellation.
const SMALL: f64 = 1e-3;

/// The natural logarithm of the e-value of a p-value in `(0, 1]`.
///
/// The calibrator is `(1 − p + p·ln p) / (p·(ln p)²)`, which is the mixture of `κ·p^(κ−1)` over all
/// `κ` and integrates to 1, so that e-values of successive hours may be multiplied (Vovk, Wang,
/// "E-values: calibration, combination and applications", Ann. Stat. 2021). Written with
/// `x = −ln p` it is `(eˣ − 1 − x) / x²`, which holds at `p = 1` as well: there it is one half.
#[must_use]
pub fn log_e_value(p: f64) -> f64 {
    let x = -p.clamp(f64::MIN_POSITIVE, 1.0).ln();
    let e_value = if x < SMALL { 0.5 + x / 6.0 } else { (x.exp_m1() - x) / (x * x) };
    e_value.ln()
}

#[cfg(test)]
mod tests {
    use super::log_e_value;

    #[test]
    fn is_the_calibrator_of_vovk_and_wang() {
        for p in [0.9_f64, 0.5, 0.1, 1e-3, 1e-6] {
            let expected = ((1.0 - p + p * p.ln()) / (p * p.ln() * p.ln())).ln();
            assert!((log_e_value(p) - expected).abs() < 1e-9, "{p}");
        }
    }

    #[test]
    fn a_usual_hour_speaks_for_the_sim() {
        assert!((log_e_value(1.0) - 0.5_f64.ln()).abs() < 1e-12);
        assert!(log_e_value(0.3) < 0.0);
        assert!(log_e_value(0.1) > 0.0);
        assert!(log_e_value(0.0).is_finite());
    }

    #[test]
    fn its_mean_over_all_ranks_is_one() {
        // Geometric steps, since nearly half of the mean lies below p = 1e-3. What lies below p is
        // 1/ln(1/p), about, which no sum comes to the end of.
        let (mut sum, mut high) = (0.0, 1.0_f64);
        while high > 1e-140 {
            let low = high * 0.999;
            sum += log_e_value((low * high).sqrt()).exp() * (high - low);
            high = low;
        }
        let rest = 1.0 / -high.ln();
        assert!((sum + rest - 1.0).abs() < 1e-4, "{sum} and {rest}");
    }
}
