package redis

import "time"

// Ask sets after how long a connection that says nothing is asked whether it is alive.
func (n *Notifier) Ask(after time.Duration) { n.quiet = after }
