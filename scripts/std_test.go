// Tests of the library's scripts with an engine, real commands and a real server.

//go:build unix

package scripts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// run executes main of a script and returns its result as JSON.
func run(t *testing.T, script string, args ...any) string {
	t.Helper()
	return runWith(t, engine.Options{}, script, args...)
}

// runTwice runs a script plainly and replayed at every wait.
func runTwice(t *testing.T, script, want string) {
	t.Helper()
	for _, always := range []bool{false, true} {
		if got := runWith(t, engine.Options{ReplayAlways: always}, script); got != want {
			t.Errorf("replay %v: %s\nwant\n%s", always, got, want)
		}
	}
}

func runWith(t *testing.T, o engine.Options, script string, args ...any) string {
	t.Helper()
	reg := activities.NewRegistry()
	if err := activities.RegisterStock(reg, activities.StockGroups()...); err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(memory.New(), reg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-eng.Ready()
	program, err := eng.Load(ctx, fstest.MapFS{"main.star": {Data: []byte(script)}}, "main.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range program.Warnings {
		t.Errorf("warning: %v", w)
	}
	if err := eng.Store(ctx, program); err != nil {
		t.Fatal(err)
	}
	id, err := eng.Dispatch(ctx, "main", engine.Input{Args: args}, engine.DispatchOptions{Digest: program.Digest, Here: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	result, err := eng.Result(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if result.Failure != nil {
		t.Fatal(result.Failure)
	}
	return string(result.Value)
}

func TestShell(t *testing.T) {
	t.Parallel()
	got := run(t, `
load("@std/shell.star", "run", "sh")

def main(dir):
    failed = attempt(sh, "echo a; echo b >&2; exit 3", timeout = "1m", retry = retry_policy(max_attempts = 1))
    return [
        sh("echo one; echo two; echo"),
        sh(["printf", "%s", "$HOME"]),
        sh("cat; pwd; echo $V", stdin = "in ", dir = dir, env = {"V": "v"}),
        run("echo x; exit 4", check = False),
        sh("exit 4", check = False),
        [failed.ok, failed.error.kind, failed.error.data["exit_code"], failed.error.data["stderr"]],
    ]
`, "/")
	want := `["one\ntwo","$HOME","in /\nv",{"exit_code":4,"stdout":"x\n","stderr":""},"",[false,"ExitError",3,"b\n"]]`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
		keyed := strings.Count(r.Header.Get("Idempotency-Key"), "/") == 2
		_ = json.NewEncoder(w).Encode(fmt.Sprint(r.Method, " ", r.URL, " ", string(body), r.Header.Get("X-A"), " ", keyed))
	}))
	defer server.Close()
	got := run(t, `
load("@std/http.star", "http")

def main(url):
    gone = attempt(http.get, url + "/gone")
    return [
        http.get(url, params = {"q": "a b"}, headers = {"X-A": "h"}, timeout = "1m")["json"],
        http.post(url, json = {"a": [1]})["json"],
        http.put(url, body = "text")["json"],
        http.patch(url, json = False)["json"],
        http.delete(url)["json"],
        http.head(url)["status"],
        http.request("OPTIONS", url)["json"],
        http.get(url + "/gone", check = False)["status"],
        [gone.error.kind, gone.error.attempts],
    ]
`, server.URL)
	want := `["GET /?q=a+b h false","POST / {\"a\":[1]} true","PUT / text true","PATCH / false true","DELETE /  true",200,"OPTIONS /  false",410,["HTTPStatus",1]]`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWithBackoff(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/retry.star", "with_backoff")

def main():
    calls = []

    def flaky(kind, good):
        calls.append(kind)
        if len(calls) < good:
            error(kind, "call %d" % len(calls))
        return len(calls)

    def tried(kind, good, **options):
        calls.clear()
        r = attempt(with_backoff, bind(flaky, kind, good), initial_delay = "1ms", **options)
        return [r.value, r.error.kind if r.error else None, len(calls)]

    return [
        tried("A", 3),
        tried("A", 9, attempts = 2),
        tried("A", 9, retry_for = ["B"]),
        tried("A", 2, retry_for = ["A"]),
        tried("A", 9, no_retry_for = ["A"]),
        tried("Cancelled", 2),
    ]
`, `[[3,null,3],[null,"A",2],[null,"A",1],[2,null,2],[null,"A",1],[null,"Cancelled",1]]`)
}

func TestRetryRefusesWhatSleepDoes(t *testing.T) {
	t.Parallel()
	got := run(t, `
load("@std/retry.star", "poll_until", "with_backoff")

def main():
    def never():
        fail("it was called")

    def poll(**options):
        return attempt(poll_until, never, **options).error.message

    def backoff(**options):
        return attempt(with_backoff, never, **options).error.message

    return [
        poll(interval = "1.2.3s"),
        poll(interval = "1 s"),
        poll(interval = -1),
        poll(timeout = "soon"),
        poll(max_interval = [1]),
        backoff(initial_delay = -1),
        backoff(initial_delay = "-1s"),
        backoff(max_delay = 0 * time.second - time.second),
        backoff(backoff_factor = -1),
        backoff(attempts = 1, initial_delay = "1h 0.5m", max_delay = time.second),
    ]
`)
	const write = `write like \"500ms\", \"1h 30m\" or \"2d\"`
	want := `["` + strings.Join([]string{
		`poll_until: interval: \"1.2.3s\" is not a duration; ` + write,
		`poll_until: interval: \"1 s\" is not a duration; ` + write,
		`poll_until: interval: a duration is not negative, got -1`,
		`poll_until: timeout: \"soon\" is not a duration; ` + write,
		`poll_until: max_interval: a duration is a number of seconds or text like \"1h 30m\", got list`,
		`with_backoff: initial_delay: a duration is not negative, got -1`,
		`with_backoff: initial_delay: a duration is not negative, got \"-1s\"`,
		`with_backoff: max_delay: a duration is not negative, got -1s`,
		`with_backoff: backoff_factor is not negative, got -1`,
		`it was called`,
	}, `","`) + `"]`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
