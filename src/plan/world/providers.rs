//! Provider configurations: which there are, and which a block goes through.

use std::fmt;
use std::sync::Arc;

use dmp_lang::config::{ProviderBlock, ProviderKey, ResourceBlock};
use dmp_lang::{Decoded, Expr, decode};
use dmp_sdk::{Address, Diagnostic, Key, ModulePath};

use super::{Expansion, Place, World, config_path, scope};

/// A provider configuration of a run: in an instance of its module, and itself perhaps one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAt {
    /// The module's instance.
    pub module: ModulePath,
    /// Its key there.
    pub key: ProviderKey,
    /// Its own key, if it has `for_each`.
    pub instance: Option<Key>,
}

impl fmt::Display for ProviderAt {
    /// The address, such as `kubernetes`, `kubernetes.west["a"]` or `module.edge.kubernetes.west`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_root() {
            write!(f, "{}.", self.module)?;
        }
        write!(f, "{}", self.key)?;
        match &self.instance {
            Some(instance) => write!(f, "{instance}"),
            None => Ok(()),
        }
    }
}

impl ProviderAt {
    /// The configuration that an address names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // It looks like a resource's: `module.edge.kubernetes.west["a"]`, or without a name.
        let parsed = text.parse::<Address>().ok();
        let alias = parsed.as_ref().map(|address| Arc::clone(&address.name));
        let address = parsed.or_else(|| format!("{text}.any").parse().ok())?;
        let name = address.resource_type;
        Some(Self {
            module: address.module,
            key: ProviderKey { name, alias },
            instance: address.key,
        })
    }

    /// The configuration with all its instances.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self {
            instance: None,
            ..self.clone()
        }
    }
}

impl World {
    /// Which instances a provider configuration has.
    ///
    /// # Errors
    /// When its `for_each` is of no use.
    pub fn expand_provider(
        &self,
        module: &ModulePath,
        block: &ProviderBlock,
    ) -> Result<Expansion, Vec<Diagnostic>> {
        self.expand(block.repetition.as_ref(), &Place::in_module(module))
    }

    /// Whether the configuration has a provider block of which this is an instance, as far as that is known.
    #[must_use]
    pub fn declares_provider(&self, at: &ProviderAt) -> bool {
        let module = self.module(&at.module);
        let Some(block) = module.and_then(|module| module.providers.get(&at.key)) else {
            return false;
        };
        let expansion = self.expand_provider(&at.module, block);
        expansion.is_ok_and(|expansion| expansion.keys().contains(&at.instance))
    }

    /// Evaluates a provider configuration; without a block it is the implied empty one.
    #[must_use]
    pub fn decode_provider(&self, at: &ProviderAt) -> Option<Decoded> {
        let provider = self.registry.provider(&at.key.name)?;
        let declared = self.module(&at.module)?.providers.get(&at.key);
        let place = Place::in_module(&at.module);
        let place = match declared {
            Some(block) => {
                let expansion = self.expand_provider(&at.module, block).ok()?;
                if !expansion.keys().contains(&at.instance) {
                    return None;
                }
                place.of_member(Some(&expansion), at.instance.as_ref())
            }
            None => place,
        };
        let nowhere = dmp_sdk::Span {
            file: "".into(),
            start: 0,
            end: 0,
        };
        let empty = dmp_lang::Body::empty(nowhere);
        let scope = scope::At {
            world: self,
            place: &place,
        };
        let body = declared.map_or(&empty, |block| &block.body);
        Some(decode(body, provider.schema(), &scope))
    }

    /// The provider configuration, with all its instances, that a block in a module goes through.
    #[must_use]
    pub fn whole_provider_of(
        &self,
        module: &ModulePath,
        block: &ResourceBlock,
    ) -> Option<ProviderAt> {
        let path = config_path(module);
        let found = self.graph.provider_of(&self.configuration, &path, block)?;
        Some(ProviderAt {
            module: ModulePath(module.0[..found.path.0.len()].to_vec()),
            key: found.key,
            instance: None,
        })
    }

    /// The provider configuration that a block goes through; `place` is where the block's own expressions stand.
    ///
    /// # Errors
    /// When the key of an instance is of no use.
    pub fn provider_at(
        &self,
        module: &ModulePath,
        block: &ResourceBlock,
        place: &Place,
    ) -> Result<Option<ProviderAt>, Vec<Diagnostic>> {
        let Some(mut at) = self.whole_provider_of(module, block) else {
            return Ok(None);
        };
        let path = config_path(module);
        let found = self.graph.provider_of(&self.configuration, &path, block);
        let Some(instance) = found.and_then(|found| found.instance) else {
            return Ok(Some(at));
        };
        let key = match &instance.call {
            None => self.instance_key(instance.key, place)?,
            Some((parent, call)) => {
                let depth = parent.0.len();
                let parent = ModulePath(module.0[..depth].to_vec());
                let member = module.0.get(depth).and_then(|(_, key)| key.as_ref());
                let repetition = self
                    .module(&parent)
                    .and_then(|module| module.calls.get(call))
                    .and_then(|call| call.repetition.as_ref());
                let expansion = self.call(&parent, call);
                let place = self.member_place(&parent, repetition, expansion, member);
                self.instance_key(instance.key, &place)?
            }
        };
        at.instance = Some(key);
        Ok(Some(at))
    }

    fn instance_key(&self, expr: &Expr, place: &Place) -> Result<Key, Vec<Diagnostic>> {
        let value = self.evaluate(expr, place)?;
        let marks = value.deep_marks();
        let why = match value.as_str() {
            Some(_) if marks.is_sensitive() || marks.is_ephemeral() => {
                "a sensitive or ephemeral value can't be the key of a provider's instance"
            }
            Some(name) => return Ok(Key::Name(name.into())),
            None if !value.is_known() => {
                "it has to be known while it is planned which instance of a provider is used"
            }
            None => "the key of a provider's instance is a text",
        };
        let failed = Diagnostic::error("wrong-key", "unusable key").detail(why);
        Err(vec![failed.at(expr.span.clone())])
    }
}

#[cfg(test)]
mod tests {
    use super::ProviderAt;

    #[test]
    fn an_address_names_the_configuration_that_it_was_made_of() {
        for text in [
            "kubernetes",
            "kubernetes.west",
            "kubernetes.west[\"a.b\"]",
            "module.edge[\"x\"].kubernetes",
            "module.edge.kubernetes.west[\"a\"]",
        ] {
            let at = ProviderAt::parse(text).expect(text);
            assert_eq!(at.to_string(), text);
            assert_eq!(at.instance.is_some(), text.ends_with("\"]"), "{text}");
        }
    }
}
