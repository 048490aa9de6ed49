//! Tables of figures: the first column is words, the others are seconds.

use crate::process::print;

/// Rows in the order in which they were first named, each with its figures of several runs.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    /// Adds a figure to a row.
    pub(crate) fn add(&mut self, row: &str, seconds: f64) {
        match self.rows.iter_mut().find(|(name, _)| name == row) {
            Some((_, figures)) => figures.push(seconds),
            None => self.rows.push((row.to_owned(), vec![seconds])),
        }
    }

    /// Prints it: of each row the least, the median and the most.
    pub(crate) fn print(&self, title: &str) {
        print(format_args!(
            "{title:<40} {:>8} {:>8} {:>8} {:>5}",
            "least", "median", "most", "runs"
        ));
        for (name, figures) in &self.rows {
            let mut sorted = figures.clone();
            sorted.sort_by(f64::total_cmp);
            let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
            print(format_args!(
                "{name:<40} {least:>8.1} {:>8.1} {most:>8.1} {:>5}",
                median(&sorted),
                sorted.len()
            ));
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(&[1.0, 2.0, 9.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[1.0, 2.0, 4.0, 9.0]) - 3.0).abs() < f64::EPSILON);
    }
}
