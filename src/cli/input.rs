//! Files of inputs and labels: one case after the other, without any header.

use ir::diag::Diagnostic;

/// Splits the contents of an input file into cases, each with the bytes of all inputs in the order of the model.
///
/// `sizes` are the bytes of each input.
pub fn cases(file: &[u8], sizes: &[usize]) -> Result<Vec<Vec<Vec<u8>>>, Diagnostic> {
    let case_bytes: usize = sizes.iter().sum();
    if file.is_empty() || !file.len().is_multiple_of(case_bytes) {
        return Err(wrong_size(file.len(), sizes));
    }
    let case = |mut bytes: &[u8]| {
        let input =
            |size: &usize| bytes.split_off(..*size).expect("a chunk has the bytes of all inputs").to_vec();
        sizes.iter().map(input).collect()
    };
    Ok(file.chunks(case_bytes).map(case).collect())
}

/// The labels of `n_cases` cases, a byte each.
pub fn check_labels(labels: &[u8], n_cases: usize, n_classes: usize) -> Result<(), Diagnostic> {
    if labels.len() != n_cases {
        return Err(Diagnostic::new(format!(
            "the labels are {} B, one for each of {n_cases} cases is expected",
            labels.len()
        )));
    }
    match labels.iter().position(|label| usize::from(*label) >= n_classes) {
        Some(case) => Err(Diagnostic::new(format!(
            "the label of case {case} is {}, the model's output has {n_classes} elements",
            labels[case]
        ))),
        None => Ok(()),
    }
}

fn wrong_size(found: usize, sizes: &[usize]) -> Diagnostic {
    let case_bytes: usize = sizes.iter().sum();
    let error =
        Diagnostic::new(format!("the input file has {found} B, expected a multiple of {case_bytes} B"));
    if let [_] = sizes {
        return error.help("it holds the model's input, once for each case");
    }
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    error.help(format!("each case is the model's inputs one after the other, of {} B", sizes.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_hold_the_inputs_in_order() {
        assert_eq!(
            cases(b"abcdef", &[1, 2]).unwrap(),
            [[b"a".to_vec(), b"bc".to_vec()], [b"d".to_vec(), b"ef".to_vec()]]
        );
    }

    #[test]
    fn a_rest_is_refused_with_both_numbers() {
        let text = |file: &[u8], sizes: &[usize]| cases(file, sizes).unwrap_err().to_string();
        assert_eq!(
            text(b"abc", &[2]),
            "error: the input file has 3 B, expected a multiple of 2 B\n\
             help: it holds the model's input, once for each case"
        );
        assert_eq!(
            text(b"", &[1, 2]),
            "error: the input file has 0 B, expected a multiple of 3 B\n\
             help: each case is the model's inputs one after the other, of 1, 2 B"
        );
    }

    #[test]
    fn labels_suit_cases_and_classes() {
        assert_eq!(check_labels(&[0, 9], 2, 10), Ok(()));
        assert_eq!(
            check_labels(&[0], 2, 10).unwrap_err().message,
            "the labels are 1 B, one for each of 2 cases is expected"
        );
        assert_eq!(
            check_labels(&[0, 10], 2, 10).unwrap_err().message,
            "the label of case 1 is 10, the model's output has 10 elements"
        );
    }
}
