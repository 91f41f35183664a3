// Arrays on their way to the server.

package postgres

import (
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// A batch is arrays of hundreds of values. The driver writes them value by value into room that it makes
// larger step by step, for every statement anew, which was a quarter of what a worker
// allocated. Those that are on every way are written here, into as much room as they take. The form is that of array_send and
// of the send functions of the elements: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES

// learnArrays makes a connection write arrays in this way.
func learnArrays(types *pgtype.Map) {
	for _, oid := range []uint32{pgtype.Int8ArrayOID, pgtype.ByteaArrayOID, pgtype.TextArrayOID} {
		if t, ok := types.TypeForOID(oid); ok {
			if codec, ok := t.Codec.(*pgtype.ArrayCodec); ok {
				types.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrays{codec}})
			}
		}
	}
}

// arrays writes arrays of some types itself.
type arrays struct{ *pgtype.ArrayCodec }

// PlanEncode says how a value is written.
func (c arrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []int64, [][]byte, []string:
			return plan(c.ElementType.OID)
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// plan writes arrays of elements with an OID.
type plan uint32

// Encode appends a value. A nil slice is NULL.
func (p plan) Encode(value any, b []byte) ([]byte, error) {
	switch list := value.(type) {
	case []int64:
		if list == nil {
			return nil, nil
		}
		b = p.head(b, len(list), 8*len(list), false)
		for _, v := range list {
			b = binary.BigEndian.AppendUint32(b, 8)
			b = binary.BigEndian.AppendUint64(b, uint64(v)) //nolint:gosec // the same bits
		}
	case [][]byte:
		if list == nil {
			return nil, nil
		}
		size, null := 0, false
		for _, v := range list {
			size += len(v)
			null = null || v == nil
		}
		b = p.head(b, len(list), size, null)
		for _, v := range list {
			b = appendLength(b, len(v), v == nil)
			b = append(b, v...)
		}
	case []string:
		if list == nil {
			return nil, nil
		}
		size := 0
		for _, v := range list {
			size += len(v)
		}
		b = p.head(b, len(list), size, false)
		for _, v := range list {
			b = appendLength(b, len(v), false)
			b = append(b, v...)
		}
	}
	return b, nil
}

// head appends what comes before n elements of so many bytes in all, and makes room for them.
func (p plan) head(b []byte, n, size int, null bool) []byte {
	b = slices.Grow(b, 20+4*n+size)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0)
	if null {
		b[len(b)-1] = 1
	}
	b = binary.BigEndian.AppendUint32(b, uint32(p))
	b = binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // a batch's length
	return append(b, 0, 0, 0, 1)                    // the first one's index
}

// appendLength appends an element's length; NULL has -1.
func appendLength(b []byte, n int, null bool) []byte {
	if null {
		return append(b, 0xff, 0xff, 0xff, 0xff)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // values are far smaller
}
