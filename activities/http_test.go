// Tests of http.request against a server of their own.

//go:build unix

package activities

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

type seen struct {
	Method, Path, Query, Body, ContentType, Key, Custom string
}

func echoServer(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Two", "a")
		w.Header().Add("X-Two", "b")
		switch r.URL.Path {
		case "/missing":
			http.Error(w, "nothing here", http.StatusNotFound)
		case "/busy":
			http.Error(w, strings.Repeat("é", maxErrorBody), http.StatusServiceUnavailable)
		case "/slow-down":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/text":
			_, _ = io.WriteString(w, `{"not": "declared"}`)
		case "/broken":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"not": `)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		case "/hang":
			<-r.Context().Done()
		default:
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			_ = json.NewEncoder(w).Encode(seen{r.Method, r.URL.Path, r.URL.RawQuery, string(body),
				r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), r.Header.Get("X-Custom")})
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	server, request := echoServer(t), stock(t, "http.request")
	ctx := WithInfo(t.Context(), AttemptInfo{IdempotencyKey: "e/1/3"})
	for _, c := range []struct {
		name   string
		args   []any
		kwargs map[string]any
		want   seen
	}{
		{"get", []any{"GET", server.URL + "/a?x=1"}, nil, seen{Method: "GET", Path: "/a", Query: "x=1"}},
		{"params", []any{"get", server.URL + "/a?x=1"}, map[string]any{"params": map[string]any{"q": "a b", "n": 9007199254740993, "l": []any{1.5, true}, "no": nil}},
			seen{Method: "GET", Path: "/a", Query: "l=1.5&l=true&n=9007199254740993&q=a+b&x=1"}},
		{"json", []any{"POST", server.URL}, map[string]any{"json": map[string]any{"a": []int{1}}}, seen{Method: "POST", Path: "/", Body: `{"a":[1]}`, ContentType: "application/json", Key: "e/1/3"}},
		{"no json", []any{"POST", server.URL}, map[string]any{"json": nil, "body": "b"}, seen{Method: "POST", Path: "/", Body: "b", Key: "e/1/3"}},
		{"body", []any{"PUT", server.URL}, map[string]any{"body": "text", "headers": map[string]string{"content-type": "text/x", "idempotency-key": "mine", "x-custom": "c"}},
			seen{Method: "PUT", Path: "/", Body: "text", ContentType: "text/x", Key: "mine", Custom: "c"}},
		{"delete", []any{"DELETE", server.URL + "/a"}, nil, seen{Method: "DELETE", Path: "/a", Key: "e/1/3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, f := call[HTTPResult](ctx, t, request, c.args, c.kwargs)
			if f != nil {
				t.Fatal(f)
			}
			var s seen
			if err := json.Unmarshal(got.JSON, &s); err != nil {
				t.Fatalf("%q: %v", got.JSON, err)
			}
			if got.Status != 200 || !reflect.DeepEqual(s, c.want) || got.Headers["x-two"] != "a, b" || strings.TrimSpace(got.Body) == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestHTTPWithoutJSON(t *testing.T) {
	t.Parallel()
	server, request := echoServer(t), stock(t, "http.request")
	for _, path := range []string{"/text", "/broken"} {
		got, f := call[HTTPResult](t.Context(), t, request, []any{"GET", server.URL + path}, nil)
		if f != nil || string(got.JSON) != "null" || !strings.HasPrefix(got.Body, `{"not": `) {
			t.Errorf("%s: %+v %v", path, got, f)
		}
	}
	got, f := call[HTTPResult](t.Context(), t, request, []any{"GET", server.URL + "/missing"}, map[string]any{"check": false})
	if f != nil || got.Status != 404 || got.Body != "nothing here\n" {
		t.Errorf("%+v %v", got, f)
	}
}

func TestHTTPFailures(t *testing.T) {
	t.Parallel()
	server, request := echoServer(t), stock(t, "http.request")
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, c := range []struct {
		name    string
		args    []any
		kwargs  map[string]any
		kind    string
		message string
		noRetry bool
	}{
		{"missing", []any{"GET", server.URL + "/missing?token=secret"}, nil, "HTTPStatus", "GET " + server.URL + "/missing: 404 Not Found", true},
		{"busy", []any{"POST", server.URL + "/busy"}, nil, "HTTPStatus", "503", false},
		{"slow down", []any{"GET", server.URL + "/slow-down"}, nil, "HTTPStatus", "429", false},
		{"nobody there", []any{"GET", "http://user:secret@" + strings.TrimPrefix(closed.URL, "http://") + "/a?token=secret"}, nil, "ConnectionError", "GET " + closed.URL + "/a: ", false},
		{"cut", []any{"GET", server.URL + "/cut"}, nil, "ConnectionError", "unexpected EOF", false},
		{"no URL", []any{"GET", "nowhere"}, nil, KindBadArguments, `"nowhere" is not an http:// or https:// URL`, true},
		{"password that is not escaped", []any{"GET", "https://user:50%off@example.com/a"}, nil, KindBadArguments, "http.request: the URL is not an http:// or https:// URL", true},
		{"password elsewhere", []any{"GET", "postgres://user:secret@example.com/a?token=secret"}, nil, KindBadArguments, "http.request: postgres://example.com/a is not", true},
		{"no scheme", []any{"GET", "localhost:8080/a"}, nil, KindBadArguments, `"localhost:8080/a" is not an http:// or https:// URL`, true},
		{"file", []any{"GET", "file:///etc/passwd"}, nil, KindBadArguments, "is not an http:// or https:// URL", true},
		{"method", []any{"GE T", server.URL}, nil, KindBadArguments, "invalid method", true},
		{"both", []any{"POST", server.URL}, map[string]any{"json": 1, "body": ""}, KindBadArguments, "json and body", true},
		{"params", []any{"GET", server.URL}, map[string]any{"params": map[string]any{"a": map[string]any{}}}, KindBadArguments, `params["a"]`, true},
		{"header", []any{"GET", server.URL}, map[string]any{"headers": map[string]any{"a": 5}}, KindBadArguments, `argument headers: ["a"] wants string, got 5`, true},
		{"unknown", []any{"GET", server.URL}, map[string]any{"header": map[string]any{}}, KindBadArguments, "did you mean headers?", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, f := call[HTTPResult](t.Context(), t, request, c.args, c.kwargs)
			if f == nil || f.Kind != c.kind || !strings.Contains(f.Message, c.message) || f.NoRetry != c.noRetry {
				t.Fatalf("%+v", f)
			}
			if strings.Contains(f.Message, "secret") || len(f.Data) > 3*maxErrorBody {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestHTTPFailureData(t *testing.T) {
	t.Parallel()
	_, f := call[HTTPResult](t.Context(), t, stock(t, "http.request"), []any{"GET", echoServer(t).URL + "/missing"}, nil)
	var data struct {
		Status  int
		Headers map[string]string
		Body    string
	}
	if f == nil || json.Unmarshal(f.Data, &data) != nil || data.Status != 404 || data.Body != "nothing here\n" || data.Headers["x-two"] == "" {
		t.Errorf("%+v %+v", f, data)
	}
}

func TestHTTPCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, f := call[HTTPResult](ctx, t, stock(t, "http.request"), []any{"GET", echoServer(t).URL + "/hang"}, nil)
	if f == nil || f.Kind != KindActivityError || !strings.Contains(f.Message, "cut short") {
		t.Errorf("%+v", f)
	}
}
