//! A progress bar on the standard error; nothing where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Work in steps. The bar goes away with this value.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for steps called `what`, whose number is not known yet.
    pub fn new(what: &'static str) -> Progress {
        let bar = ProgressBar::no_length().with_message(what);
        let style = ProgressStyle::with_template("{elapsed:>4} [{bar:32}] {pos}/{len} {msg}");
        bar.set_style(style.expect("the template has known keys only").progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// `done` of `all` steps lie behind.
    pub fn at(&self, done: usize, all: usize) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
