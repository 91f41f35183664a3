// Damage: in which words a record says what of it cannot be read.

package backend

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Unreadable says that a column cannot be read, why, and for JSON at which byte, counted from 0. Journal rows count in the same way.
func Unreadable(column string, err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := e.Offset
		if at > 0 && err.Error() != unexpectedEnd { // it counts the byte that it stumbled over
			at--
		}
		return fmt.Sprintf("column %s: %v at byte %d", column, err, at)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := ""
		if e.Field != "" {
			where = " in " + e.Field
		}
		article := "a"
		if e.Value == "array" || e.Value == "object" {
			article = "an"
		}
		return fmt.Sprintf("column %s: %s %s%s before byte %d is not what has to be there", column, article, e.Value, where, e.Offset)
	}
	return fmt.Sprintf("column %s: %v", column, err)
}

// unexpectedEnd is what the library says of a text that ends too early, in whatever words: the one syntax error that is
// not about a byte. The offset does not tell it from one about the last byte.
var unexpectedEnd = json.Unmarshal(nil, new(any)).Error()

// Damaged notes that a column of the record cannot be read.
func (x *Execution) Damaged(column string, err error) { note(&x.Damage, column, err) }

// Damaged notes that a column of the record cannot be read.
func (k *Task) Damaged(column string, err error) { note(&k.Damage, column, err) }

func note(damage *string, column string, err error) {
	if *damage != "" {
		*damage += "; "
	}
	*damage += Unreadable(column, err)
}
