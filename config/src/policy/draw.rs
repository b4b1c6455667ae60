//! Policies as a picture: who may reach whom on which ports, as SVG.
//!
//! ```text
//! View -> Scene (who is connected with whom) -> layout (where) -> svg (text)
//! ```
//!
//! Three columns: who may come in on the left, the isolated pods in the middle,
//! whom they may reach on the right. Each line ends at a row of its own, which
//! carries its ports, so that no two labels meet. The same view always gives
//! the same bytes; nothing is fetched, no script runs, every text is escaped.

mod layout;
mod scene;
mod svg;

use super::view::View;

/// The picture, a whole SVG file.
pub fn svg(view: &View) -> String {
    let scene = scene::Scene::of(view);
    let layout = layout::Layout::of(&scene);
    svg::write(view, &scene, &layout)
}

#[cfg(test)]
mod tests;
