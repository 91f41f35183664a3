// Opening a database file.

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/senpuki/senpuki/backend"
)

// Open opens the database that a path or a URL "sqlite:PATH" names and makes
// it when there is none. "?synchronous=normal" trades the last commits before
// a power cut for speed; the default is "full".
func Open(ctx context.Context, url string) (*Store, error) {
	path, synchronous, err := parse(url)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, path, synchronous)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, translate(err))
	}
	return s, nil
}

// CheckURL says what is wrong with a database's name, without looking for it.
func CheckURL(s string) error {
	_, _, err := parse(s)
	return err
}

// parse splits a URL into an absolute path and options.
func parse(s string) (path, synchronous string, err error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(s, "sqlite:"), "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return "", "", fmt.Errorf("database %q: %w", s, err)
	}
	synchronous = "full"
	for key, values := range options {
		last := values[len(values)-1]
		switch {
		case key != "synchronous":
			return "", "", fmt.Errorf("database %q: unknown option %q (there is synchronous=normal or full)", s, key)
		case last != "normal" && last != "full":
			return "", "", fmt.Errorf("database %q: synchronous is %q, not normal or full", s, last)
		}
		synchronous = last
	}
	switch {
	case path == "":
		return "", "", fmt.Errorf("database %q: the path is empty", s)
	case path == ":memory:":
		return "", "", fmt.Errorf("database %q: this is for files; what is only in memory is memory.New(), or memory: on the command line", s)
	case strings.HasPrefix(path, "file:"):
		return "", "", fmt.Errorf("database %q: a file is named by its path, without file:", s)
	}
	path, err = filepath.Abs(path)
	return path, synchronous, err
}

// errReplaced: another file is in the place of the one that was looked at.
var errReplaced = fmt.Errorf("%w: the file is replaced again and again while it is opened", backend.ErrTransient)

func open(ctx context.Context, path, synchronous string) (s *Store, err error) {
	for range 10 { // a turn can be long in coming, and what was found out before is of another file then
		if s, err = openOnce(ctx, path, synchronous); !errors.Is(err, errReplaced) {
			break
		}
	}
	return s, err
}

func openOnce(ctx context.Context, path, synchronous string) (_ *Store, err error) {
	if err := refuseStrange(path); err != nil {
		return nil, err
	}
	at, missing := os.Stat(path)
	// Nothing is written, not even a lock file, beside a file that is not ours.
	reader, ready := (*conn)(nil), false
	if missing == nil && at.Size() > 0 {
		if err := unwritable(path); err != nil {
			return nil, err
		}
		if err := refuseStrangeLog(path); err != nil {
			return nil, err
		}
		if reader, ready, err = inspect(path); err != nil {
			return nil, err
		}
	}
	defer func() { // of a file that was replaced it stays open: SQLite removes the log by its name, which is that of the other file's
		if err != nil && reader != nil && !errors.Is(err, errReplaced) {
			err = errors.Join(err, reader.close())
		}
	}()
	turn, err := newTurnstile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		switch {
		case err == nil:
		case ctx.Err() != nil: // its turn, which nobody wants any more, comes when another process leaves
			go func() { _ = turn.close() }()
		default:
			err = errors.Join(err, turn.close())
		}
	}()
	entered := true
	if ready { // there is nothing to write, and so no reason to wait for those who do
		entered, err = turn.tryEnter()
	} else {
		err = turn.enter(ctx)
	}
	if err != nil {
		return nil, err
	}
	if entered {
		defer turn.leave()
	}
	file := beside{path, at}
	if missing == nil && !file.there() {
		return nil, errReplaced
	}
	writer, err := connect(path, "journal_mode=WAL", "synchronous="+synchronous, "cache_size=-65536", "temp_store=memory",
		fmt.Sprintf("wal_autocheckpoint=%d", logPages))
	if err != nil {
		return nil, err
	}
	if err := migrate(writer); err != nil {
		return nil, errors.Join(err, writer.close())
	}
	if err := writable(writer); err != nil {
		return nil, errors.Join(err, writer.close())
	}
	s := newStore(path, synchronous, turn, writer)
	if missing == nil && !file.there() { // which of the two the writer has is not known, and it stays open as the reader does
		return nil, errReplaced
	}
	if reader != nil {
		s.readers.idle = append(s.readers.idle, reader)
	}
	return s, nil
}

// refuseStrange refuses what is no file, and where locks cannot be trusted.
func refuseStrange(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if at, err := os.Stat(path); err == nil && !at.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", backend.ErrNotDatabase, path)
	}
	return refuseNetwork(dir)
}

// refuseStrangeLog refuses a file with a log beside it that is not its own: a backup that was copied over a database whose
// processes were killed. SQLite would write that log over it. A file says in its header whether it has a log, and a backup has none.
func refuseStrangeLog(path string) error {
	logged := func() bool {
		at, err := os.Stat(path + "-wal")
		return err == nil && at.Size() > 0
	}
	if !logged() { // looked at first: the header says so before there is a log
		return nil
	}
	if v, err := headerVersion(path); err != nil || v != 1 || !logged() {
		return nil // SQLite says why it cannot be read
	}
	return fmt.Errorf("%w: %s-wal is not its log but that of the file that was here before it (stop every process that has it open, then remove the -wal and the -shm)",
		backend.ErrDamaged, path)
}

// headerVersion is what a file says of its log: 2 when it has one while it is open, 1 when it has none:
// https://www.sqlite.org/fileformat2.html#file_format_version_numbers
//
// SQLite reads it: a process that opens a file by itself and closes it loses the locks that its stores have on it, and then another program
// takes their log away. The connection is told that nothing changes, so that it leaves the log alone; in these two bytes nothing does.
func headerVersion(path string) (int, error) {
	c, err := connectURI(uri(path)+"?immutable=1", "query_only=1")
	if err != nil {
		return 0, err
	}
	v, err := c.first(nonstop, "SELECT data FROM sqlite_dbpage WHERE pgno = 1")
	if err = errors.Join(err, c.close()); err != nil {
		return 0, err
	}
	if len(v) == 0 {
		return 0, nil
	}
	page := bytes(v[0])
	if len(page) < 20 || page[18] != page[19] {
		return 0, nil
	}
	return int(page[18]), nil
}

// writable refuses a file that can be read and not written now, not at the first commit. The statement has nothing to
// do but must be allowed to write. It does not wait: that another one writes at the moment says that one can.
func writable(c *conn) error {
	if err := c.script("PRAGMA busy_timeout=0"); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM session WHERE id = 0")
	if locked(err) {
		err = nil
	}
	return errors.Join(err, c.script(fmt.Sprintf("PRAGMA busy_timeout=%d", busyTimeout.Milliseconds())))
}

// inspect refuses a file that is not a database of ours, or a newer one. Ready says of one of ours that it need not be changed to be used.
// The connection that has looked is kept: the last one that is closed folds the log into the database and removes it.
func inspect(path string) (c *conn, ready bool, err error) {
	if c, err = connectReader(path); err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			c, err = nil, errors.Join(err, c.close())
		}
	}()
	id, err := identify(c)
	if err != nil {
		return c, false, err
	}
	migrate, err := judge(id)
	if err != nil {
		return c, false, err
	}
	mode, err := c.first(context.Background(), "PRAGMA journal_mode") // that of a backup is another
	return c, !migrate && err == nil && word(mode[0]) == "wal", err
}
