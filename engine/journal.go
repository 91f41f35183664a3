// The journal's entries: their kinds, and their text in a row.

package engine

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/senpuki/senpuki/activities"
)

// journalVersion is written into the first entry of a run.
const journalVersion = 1

// The kinds of entries. Those marked S are asked by the script, those marked D
// are delivered to it; the rest is bookkeeping between the two.
const (
	entryStart   = "start"   // first entry of a run: version, edition
	entryAsk     = "ask"     // S: a command
	entryRefused = "refused" // S: a command that was refused, with the failure raised
	entryDrop    = "drop"    // S: the script cancels a step
	entryTry     = "try"     // an attempt of the execution as a whole, but for the first, begins
	entryBegin   = "begin"   // the attempt may begin once this row is durable
	entryHeld    = "held"    // the step computes the result that it shares with others
	entryFail    = "fail"    // an attempt failed; the next is due at retry
	entryCrash   = "crash"   // an attempt was begun and its process died
	entryBack    = "back"    // an attempt was handed back unfinished
	entryGot     = "got"     // an outcome that is durable but not yet delivered
	entryRerun   = "rerun"   // what is before was copied from an earlier run; what follows too, from the run in its value, if it has one
	entryUpgrade = "upgrade" // the execution moved to the code of this digest, or with a failure did not
	entryDone    = "done"    // D: a step's value
	entryFailed  = "failed"  // D: a step's final failure
	entryCancel  = "cancel"  // D: the execution is to be cancelled, or has expired
	entrySignal  = "signal"  // D: a signal
	entryEnd     = "end"     // last entry of a run
)

// persisted is a failure's form in the journal, and the failure as it is read from there: what the script gets, live or
// replayed. A text that is not UTF-8 is another one then.
func persisted(f *activities.Failure) (stored []byte, read *activities.Failure) {
	stored = encodeFailure(f)
	return stored, decodeFailure(stored)
}

// anewName marks the back entry of a child that a rerun is to begin again, though it has succeeded.
const anewName = "anew"

// forkName marks the rerun entry of a fork: from there on the script draws random numbers of its own.
const forkName = "fork"

// entry is one decoded journal entry. Its slices point into the row.
type entry struct {
	kind    []byte
	step    []byte
	command []byte // with ask: the command's kind
	name    []byte // activity, signal, workflow; with end: the state
	target  []byte // another execution
	digest  []byte // of a child's code
	memo    []byte // with ask: the hash of the result that it shares
	pos     []byte
	args    []byte
	kwargs  []byte
	value   []byte
	failure []byte
	options []byte // of a task: with which its activity is registered elsewhere
	at      int64  // microseconds since 1970, database time; 0: as the entry before
	delay   int64  // with ask of a timer: microseconds
	retry   int64  // microseconds since 1970
	attempt int
	task    int // 1 with ask and begin: the attempt is a task, which any worker may run
	version int
	edition int
}

func (e *entry) is(kind string) bool { return string(e.kind) == kind }

// delivered reports whether the entry is handed to the script.
func (e *entry) delivered() bool {
	switch string(e.kind) {
	case entryDone, entryFailed, entryCancel, entrySignal:
		return true
	}
	return false
}

// asked reports whether the script asked for the entry.
func (e *entry) asked() bool {
	switch string(e.kind) {
	case entryAsk, entryRefused, entryDrop:
		return true
	}
	return false
}

// append adds the entry's JSON object to a row under construction. A row is a
// JSON array; closeRows closes it.
func (e *entry) append(b []byte) []byte {
	if len(b) == 0 {
		b = append(b, '[')
	} else {
		b = append(b, ',', '\n')
	}
	b = appendString(append(b, `{"k":`...), e.kind)
	b = appendInt(b, `,"at":`, e.at)
	b = appendText(b, `,"step":`, e.step)
	b = appendInt(b, `,"attempt":`, int64(e.attempt))
	b = appendInt(b, `,"task":`, int64(e.task))
	b = appendRaw(b, `,"options":`, e.options)
	b = appendText(b, `,"command":`, e.command)
	b = appendText(b, `,"name":`, e.name)
	b = appendText(b, `,"target":`, e.target)
	b = appendText(b, `,"digest":`, e.digest)
	b = appendText(b, `,"memo":`, e.memo)
	b = appendRaw(b, `,"args":`, e.args)
	b = appendRaw(b, `,"kwargs":`, e.kwargs)
	b = appendInt(b, `,"delay":`, e.delay)
	b = appendRaw(b, `,"value":`, e.value)
	b = appendRaw(b, `,"failure":`, e.failure)
	b = appendInt(b, `,"retry":`, e.retry)
	b = appendText(b, `,"pos":`, e.pos)
	b = appendInt(b, `,"version":`, int64(e.version))
	b = appendInt(b, `,"edition":`, int64(e.edition))
	return append(b, '}')
}

func appendInt(b []byte, key string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), v, 10)
}

func appendRaw(b []byte, key string, v []byte) []byte {
	if v == nil {
		return b
	}
	return append(append(b, key...), v...)
}

func appendText(b []byte, key string, v []byte) []byte {
	if v == nil {
		return b
	}
	return appendString(append(b, key...), v)
}

// appendString appends s as a JSON string.
func appendString(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}

// errRow is what a damaged row decodes to.
var errRow = errors.New("damaged journal row")

// rowReader decodes the entries of a row one by one.
type rowReader struct {
	data []byte
	pos  int
}

func (r *rowReader) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", errRow, what, r.pos)
}

func (r *rowReader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\n', '\t', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *rowReader) peek() byte {
	if r.pos < len(r.data) {
		return r.data[r.pos]
	}
	return 0
}

// next decodes the next entry into e; false at the end of the row.
func (r *rowReader) next(e *entry) (bool, error) {
	r.space()
	switch {
	case r.pos == 0 && r.peek() == '[', r.pos > 0 && r.peek() == ',':
		r.pos++
	case r.pos > 0 && r.peek() == ']':
		r.pos++
		r.space()
		if r.pos != len(r.data) {
			return false, r.fail("text after the end")
		}
		return false, nil
	case r.pos > 0 && r.pos == len(r.data) && r.data[r.pos-1] == ']':
		return false, nil
	default:
		return false, r.fail("no entry")
	}
	r.space()
	if r.peek() != '{' {
		return false, r.fail("no object")
	}
	*e = entry{}
	for {
		r.pos++ // '{' or ','
		r.space()
		key, err := r.text()
		if err != nil {
			return false, err
		}
		r.space()
		if r.peek() != ':' {
			return false, r.fail("no colon")
		}
		r.pos++
		r.space()
		if err := r.field(e, key); err != nil {
			return false, err
		}
		r.space()
		switch r.peek() {
		case ',':
			continue
		case '}':
			r.pos++
			if len(e.kind) == 0 {
				return false, r.fail("entry without kind")
			}
			return true, nil
		}
		return false, r.fail("no end of object")
	}
}

func (r *rowReader) field(e *entry, key []byte) (err error) {
	switch string(key) {
	case "k":
		e.kind, err = r.text()
	case "step":
		e.step, err = r.text()
	case "command":
		e.command, err = r.text()
	case "name":
		e.name, err = r.text()
	case "target":
		e.target, err = r.text()
	case "memo":
		e.memo, err = r.text()
	case "digest":
		e.digest, err = r.text()
	case "pos":
		e.pos, err = r.text()
	case "args":
		e.args, err = r.value()
	case "kwargs":
		e.kwargs, err = r.value()
	case "value":
		e.value, err = r.value()
	case "failure":
		e.failure, err = r.value()
	case "options":
		e.options, err = r.value()
	case "at":
		e.at, err = r.number()
	case "delay":
		e.delay, err = r.number()
	case "retry":
		e.retry, err = r.number()
	case "attempt", "task", "version", "edition":
		var n int64
		n, err = r.number()
		switch key[0] {
		case 'a':
			e.attempt = int(n)
		case 't':
			e.task = int(n)
		case 'v':
			e.version = int(n)
		default:
			e.edition = int(n)
		}
	default: // of a later release
		_, err = r.value()
	}
	return err
}

func (r *rowReader) number() (int64, error) {
	start := r.pos
	for r.pos < len(r.data) && (r.data[r.pos] == '-' || r.data[r.pos] >= '0' && r.data[r.pos] <= '9') {
		r.pos++
	}
	n, err := strconv.ParseInt(string(r.data[start:r.pos]), 10, 64)
	if err != nil {
		return 0, r.fail("no number")
	}
	return n, nil
}

// text decodes a JSON string; without escapes it points into the row.
func (r *rowReader) text() ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.fail("no string")
	}
	start := r.pos + 1
	for i := start; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.pos = i + 1
			return r.data[start:i:i], nil
		case c == '\\':
			return r.escaped(start, i)
		case c < 0x20:
			return nil, r.fail("control character")
		}
	}
	return nil, r.fail("string without end")
}

func (r *rowReader) escaped(start, i int) ([]byte, error) {
	out := append([]byte(nil), r.data[start:i]...)
	for i < len(r.data) {
		c := r.data[i]
		switch {
		case c == '"':
			r.pos = i + 1
			return out, nil
		case c == '\\' && i+1 < len(r.data):
			switch c = r.data[i+1]; c {
			case '"', '\\', '/':
				out = append(out, c)
				i += 2
			case 'u':
				if i+6 > len(r.data) {
					return nil, r.fail("bad escape")
				}
				n, err := strconv.ParseUint(string(r.data[i+2:i+6]), 16, 32)
				if err != nil {
					return nil, r.fail("bad escape")
				}
				out = utf8.AppendRune(out, rune(n))
				i += 6
			default:
				return nil, r.fail("bad escape")
			}
		default:
			out = append(out, c)
			i++
		}
	}
	return nil, r.fail("string without end")
}

// value returns the text of one JSON value of any kind.
func (r *rowReader) value() ([]byte, error) {
	start, depth := r.pos, 0
	for r.pos < len(r.data) {
		switch c := r.data[r.pos]; c {
		case '"':
			if err := r.skipString(); err != nil {
				return nil, err
			}
			if depth == 0 {
				return r.data[start:r.pos:r.pos], nil
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return r.scalar(start)
			}
			if depth--; depth == 0 {
				r.pos++
				return r.data[start:r.pos:r.pos], nil
			}
		case ',':
			if depth == 0 {
				return r.scalar(start)
			}
		}
		r.pos++
	}
	return nil, r.fail("value without end")
}

func (r *rowReader) scalar(start int) ([]byte, error) {
	if r.pos == start {
		return nil, r.fail("no value")
	}
	return r.data[start:r.pos:r.pos], nil
}

func (r *rowReader) skipString() error {
	for i := r.pos + 1; i < len(r.data); i++ {
		switch r.data[i] {
		case '\\':
			i++
		case '"':
			r.pos = i + 1
			return nil
		}
	}
	return r.fail("string without end")
}
