// Values that grow toward the limit.

package engine

// weigh warns, once for each thing, of a value over a quarter of the limit:
// it will fail when it has grown, and it is better kept elsewhere.
func (e *Engine) weigh(what, name string, size int) {
	if size <= e.options.MaxValue/4 || size > e.options.MaxValue {
		return
	}
	what += " " + name
	if _, known := e.heavy.LoadOrStore(what, true); !known {
		e.options.Logger.Warn("a large value is stored; keep data elsewhere and pass its name", "value", what, "bytes", size, "limit", e.options.MaxValue)
	}
}
