// Package few has a map for where there is mostly one entry: the one step that a script waits for. Such a map needs
// no room beyond its own and no hash, which counts where there are many scripts.
package few

import (
	"iter"
	"maps"
	"slices"
)

// Map is a map by text. Its zero value is empty and ready.
type Map[V any] struct {
	key  string
	one  V
	held bool
	more map[string]V // all others
}

// Get returns the value of a key, and whether there is one.
func (m *Map[V]) Get(key string) (v V, ok bool) {
	if m.held && m.key == key {
		return m.one, true
	}
	v, ok = m.more[key]
	return v, ok
}

// At is the value of a key, the zero value when there is none.
func (m *Map[V]) At(key string) V {
	v, _ := m.Get(key)
	return v
}

// Put sets the value of a key.
func (m *Map[V]) Put(key string, v V) {
	_, there := m.more[key]
	switch {
	case there || m.held && m.key != key:
		if m.more == nil {
			m.more = make(map[string]V)
		}
		m.more[key] = v
	default:
		m.key, m.one, m.held = key, v, true
	}
}

// Delete removes a key.
func (m *Map[V]) Delete(key string) {
	if m.held && m.key == key {
		var none V
		m.key, m.one, m.held = "", none, false
		return
	}
	delete(m.more, key)
}

// Len is how many entries there are.
func (m *Map[V]) Len() int {
	if m.held {
		return len(m.more) + 1
	}
	return len(m.more)
}

// All yields the entries in no order. Those yielded may be deleted meanwhile.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if m.held && !yield(m.key, m.one) {
			return
		}
		for k, v := range m.more {
			if !yield(k, v) {
				return
			}
		}
	}
}

// Keys are the keys, sorted.
func (m *Map[V]) Keys() []string {
	keys := slices.AppendSeq(make([]string, 0, m.Len()), maps.Keys(m.more))
	if m.held {
		keys = append(keys, m.key)
	}
	slices.Sort(keys)
	return keys
}
