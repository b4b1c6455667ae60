//! Which known word an unknown one was probably meant to be.

/// The closest of `known`, unless all are too far from `word` to be meant.
///
/// Case is ignored in the comparison, since `podselector` is a typing mistake
/// like any other.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let folded = word.to_lowercase();
    known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&folded, &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 3)
        .min()
        .map(|(_, name)| name)
}
