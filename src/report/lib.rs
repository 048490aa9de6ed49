//! The only code that prints. Readers of the event stream (terminal, `--json`, run log), and the plan and diagnostics
//! for people and for machines.

mod diagnostic;
mod html;
mod json;
mod plan;
mod progress;
mod rebuild;
mod style;
mod timeline;
mod value;
mod what_if;

pub use diagnostic::{render as render_diagnostic, to_json as diagnostic_json};
pub use html::HtmlReport;
pub use json::{JsonLines, RunLog, drift_json, plan_json};
pub use plan::{render as render_plan, render_drift, summary};
pub use progress::Terminal;
pub use style::Style;
pub use timeline::Timeline;
pub use value::{render as render_value, render_attributes};
pub use what_if::{name as loss_name, render as render_what_if, to_json as what_if_json};
