// Room on the stacks of scripts and attempts.

package engine

// growStack makes the goroutine's stack as large as a script or an attempt needs while there
// is next to nothing on it. Left alone it would grow step by step, each time copying and adjusting all frames.
// The call that is never made is what needs the room: nothing is written to it.
//
//go:noinline
func growStack(really bool) {
	if really {
		needRoom(room)
	}
}

var room [5 << 10]byte

//go:noinline
func needRoom([5 << 10]byte) {}
