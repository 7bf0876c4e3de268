//! The order in which objects are looked at. Pure.
//!
//! An object waits once at most, and never while it is in work. Namespaces take turns, so that one with thousands of
//! requests keeps no other waiting; within a namespace, who comes first is served first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use kube::{Resource, runtime::reflector::ObjectRef};

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InWork,
    /// In work, and to be looked at once more: it changed meanwhile.
    InWorkAndChanged,
}

/// What waits and what is in work.
pub(crate) struct Queue<K: Resource<DynamicType: Hash + Eq>> {
    /// The namespaces in which something waits, in their turn; one for objects without.
    turns: VecDeque<Option<String>>,
    waiting: HashMap<Option<String>, VecDeque<ObjectRef<K>>>,
    states: HashMap<ObjectRef<K>, State>,
}

impl<K: Resource<DynamicType: Hash + Eq + Clone>> Queue<K> {
    pub(crate) fn new() -> Self {
        Self { turns: VecDeque::new(), waiting: HashMap::new(), states: HashMap::new() }
    }

    /// The object is to be looked at.
    pub(crate) fn push(&mut self, object: ObjectRef<K>) {
        match self.states.get_mut(&object) {
            Some(State::Waiting) => {}
            Some(in_work) => *in_work = State::InWorkAndChanged,
            None => {
                self.states.insert(object.clone(), State::Waiting);
                let of_namespace = self.waiting.entry(object.namespace.clone()).or_default();
                if of_namespace.is_empty() {
                    self.turns.push_back(object.namespace.clone());
                }
                of_namespace.push_back(object);
            }
        }
    }

    /// The next object, which is in work from now on.
    pub(crate) fn next(&mut self) -> Option<ObjectRef<K>> {
        let namespace = self.turns.pop_front()?;
        let of_namespace = self.waiting.get_mut(&namespace)?;
        let object = of_namespace.pop_front()?;
        if of_namespace.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        self.states.insert(object.clone(), State::InWork);
        Some(object)
    }

    /// The object is no longer in work. If it changed meanwhile, it waits again.
    pub(crate) fn done(&mut self, object: &ObjectRef<K>) {
        if self.states.remove(object) == Some(State::InWorkAndChanged) {
            self.push(object.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn queue(objects: &[(&str, &str)]) -> Queue<ConfigMap> {
        let mut queue = Queue::new();
        objects.iter().for_each(|(namespace, name)| queue.push(object(namespace, name)));
        queue
    }

    fn object(namespace: &str, name: &str) -> ObjectRef<ConfigMap> {
        ObjectRef::new(name).within(namespace)
    }

    fn rest(queue: &mut Queue<ConfigMap>) -> Vec<String> {
        std::iter::from_fn(|| queue.next()).map(|object| object.name).collect()
    }

    #[test]
    fn namespaces_take_turns_and_each_keeps_its_order() {
        let many =
            [("many", "a"), ("many", "b"), ("many", "c"), ("many", "d"), ("few", "1"), ("few", "2"), ("one", "x")];
        assert_eq!(rest(&mut queue(&many)), ["a", "1", "x", "b", "2", "c", "d"]);
        // Who comes late does not wait for all that was there before.
        let mut queue = queue(&many[..4]);
        assert_eq!(queue.next(), Some(object("many", "a")));
        queue.push(object("few", "1"));
        assert_eq!(rest(&mut queue), ["b", "1", "c", "d"]);
    }

    #[test]
    fn an_object_waits_once_and_is_never_in_work_twice() {
        let mut queue = queue(&[("a", "x"), ("a", "x")]);
        let x = object("a", "x");
        assert_eq!(queue.next(), Some(x.clone()));
        assert_eq!(queue.next(), None);
        // A change while it is in work makes it wait again, but not before the work is done.
        queue.push(x.clone());
        queue.push(x.clone());
        assert_eq!(queue.next(), None);
        queue.done(&x);
        assert_eq!(queue.next(), Some(x.clone()));
        queue.done(&x);
        assert_eq!(queue.next(), None);
        assert!(
            queue.states.is_empty() && queue.waiting.is_empty() && queue.turns.is_empty(),
            "something is kept for ever"
        );
    }
}
