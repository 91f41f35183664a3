// What the records are made of, as the driver takes it and gives it.

package postgres

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// clean is a text that PostgreSQL takes: it refuses NUL and what is not UTF-8,
// and one bad name would keep a whole batch from landing.
func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cleanAll(list []string) []string {
	if list == nil {
		return nil
	}
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = clean(s)
	}
	return all
}

// text is JSON for a text column; nil stays nil.
func text(b []byte) *string {
	if b == nil {
		return nil
	}
	s := clean(string(b))
	return &s
}

// bytes is JSON from a text column.
func bytes(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// stamp is a time for a column: whole microseconds, and nothing for the zero time.
func stamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t.Truncate(time.Microsecond), Valid: !t.IsZero()}
}

// ceiling is t in whole microseconds, rounded up: no stored time lies between.
func ceiling(t time.Time) time.Time {
	if whole := t.Truncate(time.Microsecond); whole.Before(t) {
		return whole.Add(time.Microsecond)
	}
	return t
}

// instant is a time from a column.
func instant(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// errNull is what a list of words is damaged by.
var errNull = errors.New("NULL among its elements")

// words are the elements of a text[]. The driver would give up the whole answer for one that is NULL.
func words(elements pgtype.FlatArray[pgtype.Text]) ([]string, error) {
	if elements == nil {
		return nil, nil
	}
	list := make([]string, len(elements))
	for i := range elements {
		if !elements[i].Valid {
			return nil, errNull
		}
		list[i] = elements[i].String
	}
	return list, nil
}

// array is words in the notation of a text[], for one element of an array of
// them: PostgreSQL has no arrays of arrays of different lengths.
func array(words []string) *string {
	if words == nil {
		return nil
	}
	var b strings.Builder
	b.WriteByte('{')
	for i, w := range words {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for _, r := range clean(w) {
			if r == '"' || r == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	s := b.String()
	return &s
}

// small is a number for an integer column.
func small(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }

// param is the n-th parameter of a statement.
func param(n int) string { return "$" + strconv.Itoa(n) }
