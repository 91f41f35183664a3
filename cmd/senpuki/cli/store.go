// Databases by URL: opening them, and hiding their passwords.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/redis"
	"github.com/senpuki/senpuki/backend/sqlite"
	"github.com/senpuki/senpuki/engine"
)

const defaultDB = "senpuki.db"

// database is the URL in effect.
func (a *app) database() string {
	if a.db != "" {
		return a.db
	}
	if env := a.env("SENPUKI_DB"); env != "" {
		return env
	}
	if db := a.file.Database; db != "" {
		return a.besideFile(db)
	}
	return defaultDB
}

// besideFile is a database that the configuration file names: a path is relative to the file.
func (a *app) besideFile(db string) string {
	kind, rest := "", db
	if m := scheme.FindStringSubmatch(db); m != nil {
		kind, rest = m[0], db[len(m[0]):]
		if !strings.EqualFold(kind, "sqlite:") || rest == "" {
			return db
		}
	}
	path := a.file.Below(rest)
	if cwd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(cwd, path); err == nil && filepath.IsLocal(rel) {
			path = rel
		}
	}
	return kind + path
}

// scheme splits a database URL. A single letter is a Windows drive, not a scheme.
var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):`)

// isURL tells whether --db takes more of a text for a database's name than its path.
func isURL(db string) bool {
	m := scheme.FindStringSubmatch(db)
	return strings.Contains(db, "?") || m != nil && slices.Contains([]string{"sqlite", "postgres", "postgresql", "memory"}, strings.ToLower(m[1]))
}

var errNoDatabase = errors.New("there is no database")

// keyValues matches the other way to name a PostgreSQL database, which is no URL, and would be taken for the name of a file.
var keyValues = regexp.MustCompile(`(?i)(^|\s)(host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=`)

// openStore opens the database to write it. Those who have no use for an empty one ask for one that exists.
func (a *app) openStore(ctx context.Context, exists bool) (backend.Store, error) {
	return a.openWith(ctx, exists, sqlite.Open)
}

// openWith is openStore by that way to open a file.
func (a *app) openWith(ctx context.Context, exists bool, open func(context.Context, string) (*sqlite.Store, error)) (backend.Store, error) {
	db := a.database()
	if err := a.openRedis(); err != nil {
		return nil, err
	}
	kind, rest := "sqlite", db
	if m := scheme.FindStringSubmatch(db); m != nil {
		kind, rest = strings.ToLower(m[1]), db[len(m[0]):]
	}
	switch kind {
	case "memory":
		if rest != "" {
			return nil, usage("--db %s: memory: takes nothing after the colon", mask(db))
		}
		return memory.New(), nil
	case "sqlite":
		if keyValues.MatchString(rest) || a.db == "" && a.env("SENPUKI_DB") == "" && keyValues.MatchString(a.file.Database) {
			return nil, usage("--db: a PostgreSQL database is named by a URL, postgres://USER@HOST:PORT/DATABASE with :PASSWORD behind USER, and not so: %s", mask(db))
		}
		file, _, _ := strings.Cut(rest, "?")
		if file == "" {
			return nil, usage("--db %s: there is no path; use a path or sqlite:PATH", mask(db))
		}
		if err := sqlite.CheckURL(rest); err != nil {
			return nil, usage("--db: %w", err)
		}
		if exists {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%w %s; 'senpuki exec' makes one, --db names another", errNoDatabase, file)
			}
		}
		store, err := open(ctx, rest)
		if err != nil {
			return nil, err // it names the file
		}
		return store, nil
	case "postgres", "postgresql":
		if err := postgres.CheckURL(db); err != nil {
			return nil, usage("--db: %w", err)
		}
		store, err := postgres.OpenWith(ctx, db, postgres.Options{Waiting: a.waiting})
		if err != nil {
			return nil, err // it names the server
		}
		return store, nil
	}
	return nil, usage("--db %s: unknown kind of database %q; use a path, sqlite:PATH, postgres://... or memory:", mask(db), kind)
}

// fullEvery is how often a database is tried for which there is no room.
const fullEvery = time.Second

// openToRun is openStore for those who run executions. On a full disk they wait for room, as they do once it is open.
func (a *app) openToRun(ctx context.Context, exists bool) (backend.Store, error) {
	for told := false; ; told = true {
		store, err := a.openStore(ctx, exists)
		switch full := errors.Is(err, backend.ErrFull); {
		case full && !told:
			why, next := faultText(err)
			a.tell(why+"; "+next, "error", err)
		case !full:
			if told && err == nil {
				a.tell(answersAgain)
			}
			return store, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(fullEvery):
		}
	}
}

// tell says something about the database before anything runs on it.
func (a *app) tell(text string, attrs ...any) {
	if a.say == nil {
		a.say = a.sayer(nil, "")
	}
	a.say(text, attrs...)
}

// waiting tells the one who started a command that the database is waited for.
func (a *app) waiting(w postgres.Waiting) {
	why := "it has not answered yet"
	if w.Err != nil {
		why = cause(w.Err)
	}
	text := fmt.Sprintf("waiting until %s for the database %s: %s", w.Until.Local().Format(time.TimeOnly), w.Database, why)
	a.tell(text, "database", w.Database, "until", w.Until, "error", why)
}

// cause is why a database does not answer, without the words that only say that it does not. The words are cut
// out of the whole message: an error inside it may still have what those around it have hidden, a password for one.
func cause(err error) string {
	return strings.Replace(err.Error(), backend.ErrTransient.Error()+": ", "", 1)
}

// openRedis prepares wake-ups over Redis when they are asked for. It does not connect yet.
func (a *app) openRedis() (err error) {
	if a.redisURL() == "" || a.wake != nil {
		return nil
	}
	if a.wake, err = redis.Open(a.redisURL(), a.databaseName()); err != nil {
		return usage("--redis: %w", err)
	}
	return nil
}

// databaseName is the same for all who use a database, whatever they call its
// host. Two that share one only wake each other in vain.
func (a *app) databaseName() string {
	db := a.database()
	if name, err := postgres.Name(db); err == nil {
		return name
	}
	file, _, _ := strings.Cut(scheme.ReplaceAllString(db, ""), "?")
	return path.Base(filepath.ToSlash(file))
}

// newEngine is engine.New with the wake-ups that are asked for.
func (a *app) newEngine(store backend.Store, registry *activities.Registry, o engine.Options) (*engine.Engine, error) {
	steps, err := a.steps()
	if err != nil {
		return nil, err
	}
	o.MaxSteps = steps
	if a.wake != nil {
		o.Notifier = a.wake
	}
	return engine.New(store, registry, o)
}

// view runs a command that only looks at a database that exists. Who may read it may look.
func (a *app) view(ctx context.Context, do func(eng *engine.Engine, store backend.Store) error) error {
	return a.with(ctx, sqlite.OpenToLook, do)
}

// change runs a command that writes to a database that exists.
func (a *app) change(ctx context.Context, do func(eng *engine.Engine, store backend.Store) error) error {
	return a.with(ctx, sqlite.Open, do)
}

// viewOrChange is view for those who write nothing this time.
func (a *app) viewOrChange(looks bool) func(context.Context, func(*engine.Engine, backend.Store) error) error {
	if looks {
		return a.view
	}
	return a.change
}

func (a *app) with(ctx context.Context, open func(context.Context, string) (*sqlite.Store, error), do func(*engine.Engine, backend.Store) error) (err error) {
	store, err := a.openWith(ctx, true, open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := a.newEngine(store, a.registry, engine.Options{Hold: true})
	if err != nil {
		return err
	}
	return do(eng, store)
}

// What hides the password of a database, whose URL or words are all of the text: rather too much than too little.
var (
	databaseUser     = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]+://[^\s/:@]*):[^\s@]*@`)
	databasePassword = regexp.MustCompile(`(?i)(passw(?:or)?d\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^&\s]+)`)
	databaseParam    = regexp.MustCompile(`(?i)((?:token|secret|key)=)[^&\s]+`)
)

// mask is a database URL without its password.
func mask(db string) string {
	if u, err := url.Parse(db); err == nil && u.Host != "" {
		db = u.Redacted()
	}
	db = databaseUser.ReplaceAllString(db, "$1:xxxxx@")
	db = databasePassword.ReplaceAllString(db, "${1}xxxxx")
	if strings.Contains(db, "://") {
		db = databaseParam.ReplaceAllString(db, "${1}xxxxx")
	}
	return db
}

// What hides secrets inside other text, JSON for one: what is around them stays.
var (
	// userinfo matches the credentials of a URL. In those of databases a slash may be part of the password.
	userinfo = regexp.MustCompile(`((?i:postgres(?:ql)?|rediss?)://[^\s/:@?#"]*):[^\s@"]*@|([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#"]*):[^\s/?#"@]*@`)
	// address matches a URL.
	address = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)
	// secretParam matches a parameter of a URL that is a secret by its name. In JSON the & may be \u0026.
	secretParam = regexp.MustCompile(`(?i)((?:[?&]|\\u0026)(?:` + secretNames + `)=)[^&#\s"'<>,}\])\\]+`)
	// password matches one in words of key and value, where it may be quoted, and the quotes may be escaped.
	password = regexp.MustCompile(`(?i)(passw(?:or)?d\s*=\s*)(?:'(?:[^'\\]|\\\\'|\\.)*'|"(?:[^"\\]|\\.)*"|\\"[^"]*\\"|['"]?(?:[^&\s"'<>,}\])\\]|\\[^"'])+)`)
)

const secretNames = `[\w.-]*(?:token|secret|passw(?:or)?d|passphrase)|pwd|pass|sig|(?:[\w.-]*[_.-])?signature|key|` +
	`(?:[\w.-]*[_.-])?(?:api|access|account|auth|client|encryption|private|secret|signing|subscription)[_.-]?key`

// maskText takes passwords and secrets of URLs out of a text.
func maskText(text string) string {
	text = userinfo.ReplaceAllString(text, "$1$2:xxxxx@")
	text = address.ReplaceAllStringFunc(text, func(url string) string { return secretParam.ReplaceAllString(url, "${1}xxxxx") })
	return password.ReplaceAllString(text, "${1}xxxxx")
}

// inMemory reports whether the database is gone when this process ends.
func (a *app) inMemory() bool { return strings.EqualFold(a.database(), "memory:") }

// resumeHint is the command that resumes an execution.
func (a *app) resumeHint(id string) string { return a.hint("resume " + id) }

// hint is a command to type, on the database of this one.
func (a *app) hint(command string) string {
	command = program() + " " + command
	if db := a.database(); db != defaultDB && a.db != "" {
		command += " --db " + quote(mask(db))
	}
	return command
}

// program is what this program was called by: senpuki, or a binary with activities of its own.
func program() string {
	name := filepath.ToSlash(os.Args[0])
	if strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") { // as it was typed
		return name
	}
	if name = strings.TrimSuffix(path.Base(name), ".exe"); strings.HasSuffix(name, ".test") {
		return "senpuki"
	}
	return name
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes a word safe to paste into a shell.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
