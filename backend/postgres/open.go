// Opening a database.

package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// settings of every transaction. A client that stopped in the middle of one lets
// go of its locks before another one could take its session for dead. Plans are
// made once for a connection, perhaps while the tables are still empty, and
// must do when they are large: every statement of ours has its index, and finds
// its rows one by one (see lookup). Of a young table the planner knows that it has few rows, and
// would rather go through all of them; so rows are dear and pages are not. What it takes for expensive it would
// compile first, at every execution, or share between processes, which takes longer than to run it. A statement
// that is a transaction of its own needs no more isolation than the others have, which say so themselves.
var settings = []struct{ name, value string }{
	{"idle_in_transaction_session_timeout", "5000"},
	{"plan_cache_mode", "force_generic_plan"},
	{"enable_seqscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"cpu_tuple_cost", "1"},
	{"cpu_index_tuple_cost", "1"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
	{"default_transaction_isolation", "read committed"},
}

const (
	// pong is how long a connection that was idle may take to say that it is alive; then another one is taken.
	pong = 2 * time.Second
	// late is after how long a heartbeat that is not answered is sent on a new connection as well. Both, one after the other, fit into
	// a session's life, and so does one to a server that takes three seconds for a statement.
	late = 3500 * time.Millisecond
)

const defaultSchema = "senpuki"

// target is a URL taken apart.
type target struct {
	config  *pgxpool.Config
	schema  string
	pooler  bool
	name    string // for people: no password
	secrets []string
}

// Open opens the schema that a URL names and makes it when there is none:
//
//	postgres://user:password@host:5432/database?schema=senpuki&pooler=transaction
//
// schema is "senpuki" when nothing is said. pooler=transaction is for a pooler
// (PgBouncer and the like) that keeps nothing between transactions. Other options go
// to the driver: sslmode, pool_max_conns, connect_timeout and so on. A
// server that does not answer is tried for two minutes, or as long as ctx lasts.
func Open(ctx context.Context, url string) (*Store, error) { return OpenWith(ctx, url, Options{}) }

// Options are what else there is to say about opening a database.
type Options struct {
	// Waiting is called once when the server has not answered for two seconds, before OpenWith returns.
	Waiting func(Waiting)
}

// OpenWith is Open with options.
func OpenWith(ctx context.Context, url string, o Options) (*Store, error) {
	at, err := parse(url)
	if err != nil {
		return nil, err
	}
	at.tune()
	s := &Store{schema: at.schema, pooler: at.pooler, secrets: at.secrets, late: late, silence: begun}
	at.config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		s.cipher.prefer(c)
		return nil
	}
	at.config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		s.cipher.learn(c)
		learnArrays(c.TypeMap())
		return learnLine(ctx, c)
	}
	at.config.BeforeClose = s.cipher.leave
	at.config.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > time.Second && ctx.Value(unasked{}) == nil
	}
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), at.config); err == nil {
		spare := at.config.Copy()
		spare.MinConns, spare.MinIdleConns, spare.MaxConns = 0, 0, 3
		spare.AfterRelease = func(*pgx.Conn) bool { return false }
		s.spare, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), spare)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", at.name, hide(err, at.secrets))
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.settings = "SELECT set_config('search_path', " + quote(at.schema) + ", true)"
	for _, v := range settings {
		s.settings += ", set_config('" + v.name + "', '" + v.value + "', true)"
	}
	if err := s.reach(ctx, at, o.Waiting); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", at.name, err), s.Close())
	}
	return s, nil
}

// Connect makes a connection of the driver's own to the database that a URL names, without our settings, and says which
// schema the URL means: for measuring what there is to be had.
func Connect(ctx context.Context, url string) (conn *pgx.Conn, schema string, err error) {
	at, err := parse(url)
	if err != nil {
		return nil, "", err
	}
	if conn, err = pgx.ConnectConfig(ctx, at.config.ConnConfig); err != nil {
		return nil, "", fmt.Errorf("open database %s: %w", at.name, hide(err, at.secrets))
	}
	return conn, at.schema, nil
}

// CheckURL says what is wrong with a URL, without connecting.
func CheckURL(url string) error {
	_, err := parse(url)
	return err
}

// Name is the same for all URLs of one schema of a database, whatever they call the server: DATABASE, or DATABASE/SCHEMA
// when the schema is not "senpuki".
func Name(url string) (string, error) {
	at, err := parse(url)
	if err != nil {
		return "", err
	}
	c := at.config.ConnConfig
	name := cmp.Or(c.Database, c.User) // as the server has it
	if at.schema != defaultSchema {
		name += "/" + at.schema
	}
	return name, nil
}

// parse splits a URL into what is ours and what is the driver's.
func parse(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// What the parser says quotes the URL, and with it perhaps a password.
		return nil, errors.New("database: not a URL postgres://user:password@host:port/database; " +
			"special characters in the password are written %23 for #, %2F for /, %40 for @")
	}
	at := &target{schema: defaultSchema}
	options, err := url.ParseQuery(strings.ReplaceAll(u.RawQuery, "+", "%2B")) // to PostgreSQL's own programs, and the driver, + is no blank
	if err != nil {
		return nil, fmt.Errorf("database %s: the options behind ? cannot be read", u.Host)
	}
	password, _ := u.User.Password()
	at.secrets = []string{password, url.QueryEscape(password), url.PathEscape(password)}
	at.secrets = append(at.secrets, options["password"]...)
	if options.Has("schema") {
		at.schema = options.Get("schema")
	}
	switch mode := options.Get("pooler"); mode {
	case "", "session", "none":
	case "transaction":
		at.pooler = true
	default:
		return nil, fmt.Errorf("database %s: pooler is %q, not transaction, session or none", u.Host, mode)
	}
	if at.schema == "" || len(at.schema) > 40 || strings.ContainsFunc(at.schema, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		return nil, fmt.Errorf("database %s: schema is %q; use up to 40 of a-z, 0-9 and _", u.Host, at.schema)
	}
	options.Del("schema")
	options.Del("pooler")
	u.RawQuery = strings.ReplaceAll(options.Encode(), "+", "%20")
	at.config, err = pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", u.Host, hide(err, at.secrets))
	}
	c := at.config.ConnConfig
	at.secrets = append(at.secrets, c.Password)
	at.name = fmt.Sprintf("%s/%s (schema %s)", address(c), c.Database, at.schema)
	if !options.Has("pool_max_conns") {
		at.config.MaxConns = max(at.config.MaxConns, 8)
	}
	// A connection that was idle is asked whether it is alive before it is used. One that a firewall has forgotten never answers.
	if !options.Has("pool_ping_timeout") {
		at.config.PingTimeout = pong
	}
	if at.pooler { // nothing can be prepared for the next one
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return at, nil
}

// tune gives every connection our settings. Behind a pooler each transaction brings them.
func (at *target) tune() {
	if at.pooler {
		return
	}
	params := at.config.ConnConfig.RuntimeParams
	params["search_path"] = at.schema
	for _, v := range settings {
		if _, given := params[v.name]; !given {
			params[v.name] = v.value
		}
	}
}

// address is where a server listens, in words.
func address(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host + ":" + strconv.Itoa(int(c.Port))
	}
	return fmt.Sprintf("%s:%d", c.Host, c.Port)
}

// quote makes a literal of a word.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
