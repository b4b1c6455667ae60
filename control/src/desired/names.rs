//! Texts that many bans share, kept once and referred to by number.

use std::{collections::HashMap, sync::Arc};

/// Shared texts with how often each is used.
///
/// Number 0 stands for "no text" and is never given out.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    uses: u64,
}

impl Names {
    /// The number of `text`, with one use more.
    pub(super) fn take(&mut self, text: Option<&Arc<str>>) -> u32 {
        let Some(text) = text else { return 0 };
        if let Some(&number) = self.numbers.get(text) {
            if let Some(entry) = self.entry_mut(number) {
                entry.uses += 1;
            }
            return number;
        }
        let entry = Entry {
            text: Arc::clone(text),
            uses: 1,
        };
        let number = self
            .free
            .pop()
            .unwrap_or_else(|| u32::try_from(self.entries.len() + 1).unwrap_or(0));
        match self.entry_mut(number) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.numbers.insert(Arc::clone(text), number);
        number
    }

    /// One use of `number` less; the last one frees it.
    pub(super) fn give_back(&mut self, number: u32) {
        let Some(entry) = self.entry_mut(number) else {
            return;
        };
        entry.uses = entry.uses.saturating_sub(1);
        if entry.uses == 0 {
            let text = std::mem::replace(&mut entry.text, "".into());
            self.numbers.remove(&text);
            self.free.push(number);
        }
    }

    pub(super) fn text(&self, number: u32) -> Option<&Arc<str>> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.entries
            .get(index)
            .filter(|entry| entry.uses > 0)
            .map(|entry| &entry.text)
    }

    pub(super) fn number(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// How many different texts are in use.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.entries.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Names;

    #[test]
    fn numbers_are_shared_and_reused() {
        let mut names = Names::default();
        let [first, second]: [Arc<str>; 2] = ["first".into(), "second".into()];
        assert_eq!(names.take(None), 0);
        assert_eq!((names.take(Some(&first)), names.take(Some(&first))), (1, 1));
        assert_eq!(names.take(Some(&second)), 2);
        names.give_back(1);
        assert_eq!(names.text(1), Some(&first));
        names.give_back(1);
        assert_eq!((names.text(1), names.len()), (None, 1));
        assert_eq!(names.take(Some(&"third".into())), 1);
        assert_eq!(names.text(2), Some(&second));
    }
}
