// Damage: what of an execution's record cannot be read, and what then becomes of its run.

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// errRecord is what keeps an execution from running whose record is damaged.
var errRecord = errors.New("damaged record")

// sound fails while the record of an execution cannot be read. Its input is looked at when it turns
// out to fit nothing (damagedInput): sound ones are not read twice.
func (x *execution) sound() error {
	if x.rec.Damage != "" {
		return fmt.Errorf("%w: %s", errRecord, x.rec.Damage)
	}
	if x.extra == nil && len(x.rec.Extra) > 0 {
		e, err := decodeExtra(x.rec.Extra)
		if err != nil {
			return fmt.Errorf("%w: %s", errRecord, backend.Unreadable("extra", err))
		}
		x.extra = &e
	}
	return nil
}

// damagedInput fails when the input of an execution is no JSON at all.
func damagedInput(input []byte) error {
	if input == nil || json.Valid(input) {
		return nil
	}
	return fmt.Errorf("%w: %s", errRecord, backend.Unreadable("input", notJSON(input)))
}

// notJSON says why a text is not JSON, nil when it is.
func notJSON(b []byte) error {
	if json.Valid(b) {
		return nil
	}
	var raw json.RawMessage
	return json.Unmarshal(b, &raw)
}

// reread gets the record of a stuck execution that its messages keep here: it may have been repaired.
func (x *execution) reread() {
	rec, err := x.holder(x.rec.ID)
	if err == nil {
		x.rec.Damage, x.rec.Tags, x.rec.Extra, x.rec.Input = rec.Damage, rec.Tags, rec.Extra, rec.Input
		return
	}
	x.w.log.Warn("the record cannot be read again", "execution", x.rec.ID, "error", err)
}

// states are those that an execution may be in.
var states = backend.States()

// columns reads what a store keeps of an execution without looking into it. It tells of each column that
// is not what it has to be, the store's own first, and takes it out of the record.
func columns(x *backend.Execution, tell func(problem string)) {
	if x.Damage != "" {
		tell(x.Damage)
	}
	if !slices.Contains(states, x.State) {
		tell(backend.Unreadable("state", fmt.Errorf("%q is no state", x.State)))
	}
	bad := func(name string, column *[]byte, check func([]byte) error) {
		if *column == nil {
			return
		}
		err := notJSON(*column)
		if err == nil && check != nil {
			err = check(*column)
		}
		if err != nil {
			tell(backend.Unreadable(name, err))
			*column = nil
		}
	}
	bad("input", &x.Input, nil)
	bad("extra", &x.Extra, func(b []byte) error { _, err := decodeExtra(b); return err })
	bad("failure", &x.Failure, func(b []byte) error { return json.Unmarshal(b, new(activities.Failure)) })
	bad("published", &x.Published, storedValue)
	bad("result", &x.Result, storedValue)
}

// storedValue fails when a JSON text is no stored form of a value.
func storedValue(b []byte) error {
	_, err := starlark.ToPlain(b)
	return err
}
