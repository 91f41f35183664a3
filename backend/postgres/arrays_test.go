// That arrays arrive as they were.

package postgres_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// The server reads what is written here as what the driver writes.
func TestArrays(t *testing.T) {
	t.Parallel()
	plain, ours := pgtype.NewMap(), pgtype.NewMap()
	postgres.LearnArrays(ours)
	for _, k := range []struct {
		oid   uint32
		value any
	}{
		{pgtype.Int8ArrayOID, []int64{1, -2, 1 << 62}},
		{pgtype.Int8ArrayOID, []int64{}},
		{pgtype.Int8ArrayOID, []int64(nil)},
		{pgtype.ByteaArrayOID, [][]byte{[]byte("a\x00b"), nil, {}, bytes.Repeat([]byte("x"), 5000)}},
		{pgtype.ByteaArrayOID, [][]byte{}},
		{pgtype.ByteaArrayOID, [][]byte(nil)},
		{pgtype.TextArrayOID, []string{"", "ä", `"{,}`}},
		{pgtype.TextArrayOID, []string{}},
		{pgtype.TextArrayOID, []string(nil)},
		{pgtype.TextArrayOID, []*string{nil}}, // the driver's own way
	} {
		for _, format := range []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode} {
			want, err := plain.Encode(k.oid, format, k.value, []byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			have, err := ours.Encode(k.oid, format, k.value, []byte("before"))
			if err != nil || !bytes.Equal(have, want) || (have == nil) != (want == nil) {
				t.Errorf("%#v is written as\n%q, %v, not\n%q", k.value, have, err, want)
			}
		}
	}

	conn, _ := connect(t, servertest.Postgres(t))
	postgres.LearnArrays(conn.TypeMap())
	sent := [][]byte{[]byte("a"), nil, {}}
	var numbers []int64
	var datas [][]byte
	var texts []string
	if err := conn.QueryRow(t.Context(), "SELECT $1::bigint[], $2::bytea[], $3::text[]", []int64{7, -7}, sent, []string{"x", ""}).Scan(&numbers, &datas, &texts); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(numbers, []int64{7, -7}) || !slices.Equal(texts, []string{"x", ""}) || len(datas) != 3 || string(datas[0]) != "a" || datas[1] != nil || datas[2] == nil {
		t.Errorf("back came %v, %q, %q", numbers, datas, texts)
	}
}
