// What the driver's errors mean to a caller.

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/senpuki/senpuki/backend"
)

var (
	errShut   = errors.New("store is closed")
	errSilent = silentFor(begun)
)

const (
	divisionByZero  = "22012"
	uniqueViolation = "23505"
	readOnly        = "25006"
)

// pooled is the advice to those whom a pooler lets down.
const pooled = " (a pooler stands before the database: add ?pooler=transaction to the URL)"

// code is the SQLSTATE of an error, or "".
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// again reports whether a transaction was rolled back for the sake of another
// one and may simply be run again.
func again(err error) bool {
	switch code(err) {
	case "40P01", "40001": // deadlock, serialisation
		return true
	case "0A000": // a plan from before a migration; the driver has forgotten it by now
		return strings.Contains(err.Error(), "cached plan must not change result type")
	}
	return false
}

// duplicate reports whether a statement met a key that exists.
func duplicate(err error) bool { return code(err) == uniqueViolation }

// translate gives an error of the driver the sentinel that its code stands for,
// and takes the password out of it, should it be there.
func (s *Store) translate(err error) error { return hide(translate(err), s.secrets) }

func translate(err error) error {
	if err == nil {
		return nil
	}
	err = brief(err)
	var e *pgconn.PgError
	var network net.Error
	var connecting *pgconn.ConnectError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &e):
		if sentinel, advice := meaning(e); sentinel != nil {
			return fmt.Errorf("%w: %w%s", sentinel, err, advice)
		} else if advice != "" {
			return fmt.Errorf("%w%s", err, advice)
		}
		return err
	case errors.As(err, &connecting), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, context.DeadlineExceeded), pgconn.SafeToRetry(err), strings.Contains(err.Error(), "conn closed"):
		advice := ""
		if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound { // the network may be down as well
			advice = " (is the name in the URL right?)"
		}
		return fmt.Errorf("%w: %w%s", backend.ErrTransient, err, advice)
	}
	return err
}

// meaning is the sentinel of a server's error, if there is one, and what to do.
func meaning(e *pgconn.PgError) (sentinel error, advice string) {
	switch e.Code {
	case "53100":
		return backend.ErrFull, ""
	case "XX000": // an internal error, untranslated, of whoever connects to a server that has no room for its cache
		if strings.Contains(e.Message, "could not write init file") {
			return backend.ErrFull, ""
		}
	case "3D000":
		return nil, " (make the database with createdb, or name another one in the URL)"
	case "28P01", "28000":
		return nil, " (check the user and the password in the URL, and pg_hba.conf of the server)"
	case "42501":
		return backend.ErrRefused, " (the role lacks a privilege: to make its schema it needs GRANT CREATE ON DATABASE; in one that exists GRANT USAGE ON SCHEMA, and rights on its tables and sequences)"
	case "08P01":
		if strings.Contains(e.Message, "startup parameter") {
			return nil, pooled
		}
	case "26000", "42P05":
		return nil, pooled
	case "42P01", "3F000", "42703", "42883": // no such table, schema, column or function
		return backend.ErrRefused, " (was the schema removed, or made by another release? 'senpuki db migrate' brings it up to date)"
	case readOnly: // a standby, or default_transaction_read_only
		return backend.ErrTransient, " (this server takes no writes; with all hosts and target_session_attrs=read-write in the URL the one that does is found)"
	case "57014": // statement_timeout, or an administrator cancelled it
		return backend.ErrTransient, ""
	case "55P03": // lock_timeout
		return backend.ErrTransient, " (another client of the database holds a lock: pg_locks and pg_stat_activity say who)"
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", // connection
		"53", // too many connections, out of memory
		"57", // shutting down, starting up, terminated, idle session
		"58", // the server's own input and output
		"40", // rolled back
		"25": // idle in transaction for too long, and what follows from it
		return backend.ErrTransient, ""
	}
	return nil, ""
}

// attempt is a try to connect, as the driver puts it: each address twice, with TLS and without.
var attempt = regexp.MustCompile(`^(\S+) \(.*?\): (?:dial error: dial \S+ \S+: (?:connect: )?)?(.*)$`)

// noTLS is what a try with TLS comes to on a server without.
const noTLS = "tls error: server refused TLS connection"

// brief puts an error of connecting into fewer words: what each address came to, once.
func brief(err error) error {
	connecting, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	var tries []string
	plain := map[string]bool{} // addresses that said something without TLS
	for line := range strings.Lines(connecting.Unwrap().Error()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "hostname resolving error: ")
		if m := attempt.FindStringSubmatch(line); m != nil {
			line = m[1] + ": " + m[2]
			plain[m[1]] = plain[m[1]] || m[2] != noTLS
		}
		if !slices.Contains(tries, line) {
			tries = append(tries, line)
		}
	}
	// That a server has no TLS matters only where nothing else was tried.
	tries = slices.DeleteFunc(tries, func(try string) bool {
		at, tls := strings.CutSuffix(try, ": "+noTLS)
		return tls && plain[at]
	})
	return &hidden{err, strings.Replace(err.Error(), connecting.Error(), strings.Join(tries, "; "), 1)}
}

// without takes some words out of an error, once.
func without(err error, words string) error {
	if !strings.Contains(err.Error(), words) {
		return err
	}
	return &hidden{err, strings.Replace(err.Error(), words, "", 1)}
}

// hidden is an error in other words: without a secret, or fewer.
type hidden struct {
	error
	words string
}

func (h *hidden) Error() string { return h.words }
func (h *hidden) Unwrap() error { return h.error }

// hide takes secrets out of an error's words.
func hide(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	words := err.Error()
	clear := words
	for _, s := range secrets {
		if s != "" {
			clear = strings.ReplaceAll(clear, s, "xxxxx")
		}
	}
	if clear == words {
		return err
	}
	return &hidden{err, clear}
}
