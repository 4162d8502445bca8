//! What a test measured, in the form that bars read from standard output.

use serde_json::json;

/// Prints one figure.
pub(crate) fn figure(name: &str, value: f64, unit: &str) {
    // The test's own line may not have ended.
    println!("\n{}", json!({"name": name, "value": value, "unit": unit}));
}

/// The value that `share` of the values do not exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

#[test]
fn quantiles_are_values_that_were_seen() {
    let values: Vec<f64> = (1..=100).map(f64::from).collect();
    assert_eq!(
        (quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)),
        (50.0, 99.0, 100.0)
    );
    assert_eq!((quantile(&[7.0], 0.01), quantile(&[], 0.5).is_nan()), (7.0, true));
}
