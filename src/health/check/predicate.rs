//! A question about an HTTP answer, in CEL (Common Expression Language, as Kubernetes uses it).
//!
//! Two variables: `body`, the answer's JSON, and `status`, its number. The result is true or false; everything else is
//! an error, which the check counts as unknown.
//!
//! The parser recurses, and panics on a hundred conditionals in a row; the evaluator counts no cost (tried: five nested
//! loops over ten items take 0.16 s). So the text is bounded before it is parsed, loops are counted when it is, and what
//! the server may put into `body` is bounded before it is asked. A thread of 2 MiB parses ten times what is let through;
//! without optimisation twelve brackets would end it, so the dev profile optimises the parser.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue, MapEntryExpr,
    MapExpr, operators,
};
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Program, Value};
use serde_json::Value as Json;

/// The longest text in bytes.
const TEXT_LIMIT: usize = 1024;
/// The most brackets that open in a text, and so the deepest nesting of them.
const BRACKET_LIMIT: usize = 48;
/// The most prefix operators and conditionals in a text: each is a level of the tree.
const OPERATOR_LIMIT: usize = 64;
/// The deepest nesting of loops (`all`, `exists`, `map`, `filter`), counting a loop over what a loop made.
const LOOP_LIMIT: usize = 2;
/// The most items of a list, and entries of a map, in `body`: functions that compare all with all take a square of it.
const LIST_LIMIT: usize = 1000;
/// The same for a predicate that loops. `map` copies what it has for each item, so that one in another takes a cube of
/// it: with 250 a second, with 1000 a minute (measured, without optimisation).
const LOOPED_LIST_LIMIT: usize = 250;
/// The longest text in `body`, in bytes: a loop may make one for each item.
const STRING_LIMIT: usize = 64 << 10;
/// The most values in `body`.
const VALUE_LIMIT: usize = 50_000;

/// What must be true of an HTTP answer.
#[derive(Debug, Clone)]
pub struct Predicate {
    text: String,
    expression: Arc<IdedExpr>,
    loops: bool,
    reads_body: bool,
    reads_status: bool,
}

/// Two predicates are equal when their texts are.
impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Says why a text is no predicate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPredicate(String);

impl Predicate {
    /// Reads a predicate.
    ///
    /// # Errors
    /// It is too long or too deep, is no CEL, loops in loops in loops, or names a variable or function that is not there.
    pub fn parse(text: &str) -> Result<Self, InvalidPredicate> {
        bounded(text).map_err(InvalidPredicate)?;
        // The parser's own error quotes and points over several lines; the place in so short a text is easily found.
        let program = Program::compile(text)
            .map_err(|_| InvalidPredicate("is no CEL expression, such as `body.status == 'ok'`".to_owned()))?;
        let mut names = Names { bound: Vec::new(), free: Vec::new(), functions: Vec::new() };
        let loops = names.walk(program.expression());
        if loops > LOOP_LIMIT {
            return Err(InvalidPredicate(format!("nests loops more than {LOOP_LIMIT} deep")));
        }
        if let Some(name) = names.free.iter().find(|name| !["body", "status"].contains(&name.as_str())) {
            return Err(InvalidPredicate(format!("names `{name}`, expected the variables `body` and `status`")));
        }
        if let Some(name) = names.functions.iter().find(|name| !is_function(name)) {
            return Err(InvalidPredicate(format!("calls `{name}`, which is no function of CEL that is known here")));
        }
        let reads = |name: &str| names.free.iter().any(|free| free == name);
        Ok(Predicate {
            text: text.to_owned(),
            loops: loops > 0,
            reads_body: reads("body"),
            reads_status: reads("status"),
            expression: Arc::new(strict(program.expression())),
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it asks for `body`.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// Whether it asks for `status`.
    #[must_use]
    pub fn reads_status(&self) -> bool {
        self.reads_status
    }

    /// Whether it is true of an answer.
    ///
    /// It may take some seconds on the worst body that is let through.
    ///
    /// # Errors
    /// Why it is neither true nor false, without a value of the body.
    pub fn eval(&self, body: &Json, status: u16) -> Result<bool, String> {
        let mut context = Context::default().with_all();
        context.add_function(HAS, has);
        let mut room = Room { values: VALUE_LIMIT, items: if self.loops { LOOPED_LIST_LIMIT } else { LIST_LIMIT } };
        context.add_variable_from_value("body", value(body, &mut room)?);
        context.add_variable_from_value("status", Value::Int(i64::from(status)));
        match Value::resolve(&self.expression, &context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err("is neither true nor false".to_owned()),
            Err(ExecutionError::NoSuchKey(key)) if self.text.contains(key.as_str()) => {
                Err(format!("needs `{key}`, which the answer does not have"))
            }
            // What the evaluator says may quote the body.
            Err(_) => Err("cannot be computed of this answer".to_owned()),
        }
    }
}

/// What `has(a.b)` becomes: see [`strict`].
const HAS: &str = "@has";

/// `has(map.key)`.
fn has(map: Value, key: Arc<String>) -> Result<Value, ExecutionError> {
    match map {
        Value::Map(map) => Ok(Value::Bool(map.map.contains_key(&Key::String(key)))),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// The expression with `a['b']` for `a.b`.
///
/// They mean the same, but of an `a` that is no map the evaluator says that `a.b` is `false`, so that `!body.a.failed`
/// were true of an answer that says nothing of the kind. CEL says that it is an error (Language Definition, "Field
/// Selection").
fn strict(expression: &IdedExpr) -> IdedExpr {
    let all = |list: &[IdedExpr]| list.iter().map(strict).collect::<Vec<_>>();
    let expr = match &expression.expr {
        Expr::Select(select) => {
            let field = Expr::Literal(LiteralValue::String(select.field.as_str().into()));
            let args = vec![strict(&select.operand), IdedExpr { id: expression.id, expr: field }];
            let func_name = if select.test { HAS } else { operators::INDEX }.to_owned();
            Expr::Call(CallExpr { func_name, target: None, args })
        }
        Expr::Call(call) => Expr::Call(CallExpr {
            func_name: call.func_name.clone(),
            target: call.target.as_deref().map(|target| Box::new(strict(target))),
            args: all(&call.args),
        }),
        Expr::List(list) => {
            Expr::List(ListExpr::new_with_optionals(all(&list.elements), list.optional_indices.clone()))
        }
        Expr::Map(map) => Expr::Map(MapExpr { entries: map.entries.iter().map(strict_entry).collect() }),
        Expr::Comprehension(each) => Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: strict(&each.iter_range),
            accu_init: strict(&each.accu_init),
            loop_cond: strict(&each.loop_cond),
            loop_step: strict(&each.loop_step),
            result: strict(&each.result),
            ..ComprehensionExpr::clone(each)
        })),
        other @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_)) => other.clone(),
    };
    IdedExpr { id: expression.id, expr }
}

fn strict_entry(entry: &IdedEntryExpr) -> IdedEntryExpr {
    let expr = match &entry.expr {
        EntryExpr::MapEntry(MapEntryExpr { key, value, optional }) => {
            EntryExpr::MapEntry(MapEntryExpr { key: strict(key), value: strict(value), optional: *optional })
        }
        EntryExpr::StructField(field) => EntryExpr::StructField(field.clone()),
    };
    IdedEntryExpr { id: entry.id, expr }
}

/// Whether a text is short and flat enough for the parser.
fn bounded(text: &str) -> Result<(), String> {
    let count = |of: &[char]| text.chars().filter(|c| of.contains(c)).count();
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > TEXT_LIMIT {
        return Err(format!("has {} bytes, at most {TEXT_LIMIT} are read", text.len()));
    }
    if count(&['(', '[', '{']) > BRACKET_LIMIT {
        return Err(format!("opens more than {BRACKET_LIMIT} brackets"));
    }
    if count(&['!', '-', '?']) > OPERATOR_LIMIT {
        return Err(format!("has more than {OPERATOR_LIMIT} of `!`, `-` and `?`"));
    }
    Ok(())
}

/// What an expression names.
struct Names<'e> {
    bound: Vec<&'e str>,
    free: Vec<String>,
    functions: Vec<String>,
}

impl<'e> Names<'e> {
    /// Collects what an expression names; the answer is how deep its loops nest.
    fn walk(&mut self, expression: &'e IdedExpr) -> usize {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => 0,
            Expr::Ident(name) => {
                if !name.starts_with('@') && !self.bound.contains(&name.as_str()) {
                    self.free.push(name.clone());
                }
                0
            }
            Expr::Select(select) => self.walk(&select.operand),
            Expr::List(list) => self.deepest(&list.elements),
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr)),
            // The evaluator panics on one: no function has a name like this.
            Expr::Struct(made) => {
                self.functions.push(format!("{}{{}}", made.type_name));
                self.entries(made.entries.iter().map(|entry| &entry.expr))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(each) => {
                let over = self.walk(&each.iter_range);
                let before = self.bound.len();
                self.bound.push(&each.iter_var);
                self.bound.extend(each.iter_var2.as_deref());
                self.bound.push(&each.accu_var);
                let parts = [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result];
                let inside = parts.into_iter().map(|part| self.walk(part)).max().unwrap_or(0);
                self.bound.truncate(before);
                1 + over + inside
            }
        }
    }

    fn call(&mut self, call: &'e CallExpr) -> usize {
        let arguments = self.deepest(&call.args);
        let Some(target) = &call.target else {
            self.functions.push(call.func_name.clone());
            return arguments;
        };
        // `math.greatest(…)` is a function of that name, unless `math` is a variable.
        if let Expr::Ident(prefix) = &target.expr
            && !["body", "status"].contains(&prefix.as_str())
            && !self.bound.contains(&prefix.as_str())
        {
            self.functions.push(format!("{prefix}.{}", call.func_name));
            return arguments;
        }
        self.functions.push(call.func_name.clone());
        // What a call makes of a loop's result may be walked by the next loop.
        arguments.max(self.walk(target))
    }

    fn deepest(&mut self, expressions: &'e [IdedExpr]) -> usize {
        expressions.iter().map(|expression| self.walk(expression)).max().unwrap_or(0)
    }

    fn entries(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) -> usize {
        let walk = |entry: &'e EntryExpr| match entry {
            EntryExpr::StructField(field) => self.walk(&field.value),
            EntryExpr::MapEntry(entry) => self.walk(&entry.key).max(self.walk(&entry.value)),
        };
        entries.map(walk).max().unwrap_or(0)
    }
}

/// Whether there is a function or operator of this name: a call without arguments of one that is there fails otherwise.
fn is_function(name: &str) -> bool {
    let operator =
        name.contains('_') && !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.starts_with('@');
    let call = Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args: Vec::new() });
    let call = IdedExpr { id: 0, expr: call };
    operator
        || !matches!(Value::resolve(&call, &Context::default().with_all()), Err(ExecutionError::UndeclaredReference(_)))
}

/// How much of a body is let through.
struct Room {
    /// Values that may still come.
    values: usize,
    /// The most items of a list.
    items: usize,
}

/// JSON as CEL knows it. A whole number is a signed one where it fits: CEL's unsigned numbers equal no literal.
fn value(json: &Json, room: &mut Room) -> Result<Value, String> {
    room.values = room
        .values
        .checked_sub(1)
        .ok_or_else(|| format!("is not asked: the answer holds more than {VALUE_LIMIT} values"))?;
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().ok_or("is not asked: the answer holds a number without a value")?),
        },
        Json::String(text) if text.len() > STRING_LIMIT => {
            return Err(format!("is not asked: the answer holds a text of more than {STRING_LIMIT} bytes"));
        }
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) if items.len() > room.items => {
            return Err(format!("is not asked: the answer holds a list of more than {} items", room.items));
        }
        Json::Array(items) => {
            Value::List(Arc::new(items.iter().map(|item| value(item, room)).collect::<Result<_, _>>()?))
        }
        Json::Object(fields) if fields.len() > room.items => {
            return Err(format!("is not asked: the answer holds a map of more than {} entries", room.items));
        }
        Json::Object(fields) => {
            let entry = |(key, field)| Ok((Key::String(Arc::new(String::clone(key))), value(field, room)?));
            let map: HashMap<Key, Value> = fields.iter().map(entry).collect::<Result<_, String>>()?;
            Value::Map(Map { map: Arc::new(map) })
        }
    })
}
