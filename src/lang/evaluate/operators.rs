//! Operators over values: arithmetic, comparison, logic.

use dmp_sdk::{Diagnostic, Number, Span, Type, Value};

use super::{Evaluation, Outcome, equality, not_null, unknown_not_null};
use crate::ast::{BinaryOperator, Expr, UnaryOperator};

impl Evaluation<'_> {
    pub(super) fn unary(&mut self, operator: UnaryOperator, operand: &Expr) -> Outcome {
        let ty = match operator {
            UnaryOperator::Negate => Type::Number,
            UnaryOperator::Not => Type::Bool,
        };
        let value = not_null(&self.value(operand)?, &ty, &operand.span)?;
        let result = match (operator, value.as_number(), value.as_bool()) {
            (UnaryOperator::Negate, Some(number), _) => Value::from(number.neg()),
            (UnaryOperator::Not, _, Some(truth)) => Value::from(!truth),
            _ => unknown_not_null(ty),
        };
        Ok(result.marked(&value.deep_marks()))
    }

    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        left: &Expr,
        right: &Expr,
        span: &Span,
    ) -> Outcome {
        match operator {
            BinaryOperator::And => self.logic(left, right, false),
            BinaryOperator::Or => self.logic(left, right, true),
            BinaryOperator::Equal => self.equality(left, right, true),
            BinaryOperator::NotEqual => self.equality(left, right, false),
            _ => self.arithmetic(operator, left, right, span),
        }
    }

    /// `&&` and `||`: the deciding value on the left leaves the right alone.
    fn logic(&mut self, left: &Expr, right: &Expr, deciding: bool) -> Outcome {
        let one = not_null(&self.value(left)?, &Type::Bool, &left.span)?;
        if one.as_bool() == Some(deciding) {
            return Ok(one);
        }
        let two = not_null(&self.value(right)?, &Type::Bool, &right.span)?;
        let marks = one.deep_marks().union(&two.deep_marks());
        let result = match (one.as_bool(), two.as_bool()) {
            (_, Some(truth)) if truth == deciding => Value::from(deciding),
            (Some(_), Some(_)) => Value::from(!deciding),
            _ => unknown_not_null(Type::Bool),
        };
        Ok(result.marked(&marks))
    }

    fn equality(&mut self, left: &Expr, right: &Expr, wanted: bool) -> Outcome {
        let values = self.values([left, right])?;
        let result = match equality::equal(&values[0], &values[1]) {
            Some(equal) => Value::from(equal == wanted),
            None => unknown_not_null(Type::Bool),
        };
        let marks = values[0].deep_marks().union(&values[1].deep_marks());
        Ok(result.marked(&marks))
    }

    fn arithmetic(
        &mut self,
        operator: BinaryOperator,
        left: &Expr,
        right: &Expr,
        span: &Span,
    ) -> Outcome {
        let values = self.values([left, right])?;
        let one = not_null(&values[0], &Type::Number, &left.span);
        let two = not_null(&values[1], &Type::Number, &right.span);
        let (one, two) = match (one, two) {
            (Ok(one), Ok(two)) => (one, two),
            (one, two) => return Err(one.err().into_iter().chain(two.err()).flatten().collect()),
        };
        let marks = one.deep_marks().union(&two.deep_marks());
        let result = match (one.as_number(), two.as_number()) {
            (Some(a), Some(b)) => calculate(operator, a, b).map_err(|error| {
                let failed = Diagnostic::error("arithmetic", "arithmetic has no result");
                vec![failed.detail(error).at(span.clone())]
            })?,
            _ => {
                let decided = match operator {
                    BinaryOperator::Less => equality::is_less(&one, &two),
                    BinaryOperator::Greater => equality::is_less(&two, &one),
                    BinaryOperator::LessOrEqual => equality::is_less(&two, &one).map(|is| !is),
                    BinaryOperator::GreaterOrEqual => equality::is_less(&one, &two).map(|is| !is),
                    _ => return Ok(unknown_not_null(Type::Number).marked(&marks)),
                };
                decided.map_or_else(|| unknown_not_null(Type::Bool), Value::from)
            }
        };
        Ok(result.marked(&marks))
    }
}

fn calculate(operator: BinaryOperator, a: &Number, b: &Number) -> Result<Value, String> {
    let number = match operator {
        BinaryOperator::Add => a.add(b),
        BinaryOperator::Subtract => a.sub(b),
        BinaryOperator::Multiply => a.mul(b),
        BinaryOperator::Divide => a.div(b),
        BinaryOperator::Remainder => a.rem(b),
        BinaryOperator::Less => return Ok(Value::from(a < b)),
        BinaryOperator::LessOrEqual => return Ok(Value::from(a <= b)),
        BinaryOperator::Greater => return Ok(Value::from(a > b)),
        BinaryOperator::GreaterOrEqual => return Ok(Value::from(a >= b)),
        BinaryOperator::Equal | BinaryOperator::NotEqual => {
            return Ok(Value::from((a == b) == (operator == BinaryOperator::Equal)));
        }
        BinaryOperator::And | BinaryOperator::Or => {
            return Err("numbers are no truth values".into());
        }
    };
    number.map(Value::from).map_err(|error| error.to_string())
}
