// The stock activity http.request.

package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxBody bounds what is read of an answer's body.
	maxBody = 64 << 20
	// maxErrorBody is how much of the body a failure carries.
	maxErrorBody = 4 << 10
)

// HTTPResult is what http.request returns. Names of headers are in lower case, several values of one
// joined by ", ". JSON is the decoded body when its content type says so, else null. A body that is
// not UTF-8 has its invalid bytes replaced.
type HTTPResult struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	JSON    json.RawMessage   `json:"json"`
}

type httpOptions struct {
	Params  map[string]any    `json:"params,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	JSON    json.RawMessage   `json:"json,omitempty"`
	Body    *string           `json:"body,omitempty"`
	Check   *bool             `json:"check,omitempty"`
}

// RegisterHTTP registers http.request(method, url, *, params, headers, json, body,
// check=True). It fails with kind HTTPStatus when check is set and the status is 400 or more, and
// with ConnectionError when there is no answer. Statuses that will not
// change (4xx but 408, 425 and 429) are not retried. Everything but GET, HEAD and OPTIONS
// carries the step's idempotency key in the header Idempotency-Key unless that is given.
func RegisterHTTP(r *Registry) error {
	return registerAll(r, registration{"http.request", requestHTTP, Options{
		Params: []string{"method", "url"},
		Doc:    "Send an HTTP request and read the answer.",
	}})
}

// httpClient is shared, so that connections are used again.
var httpClient = &http.Client{}

func requestHTTP(ctx context.Context, method, address string, o httpOptions) (HTTPResult, error) {
	req, err := newRequest(ctx, method, address, o)
	if err != nil {
		return HTTPResult{}, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return HTTPResult{}, connectionError(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return HTTPResult{}, connectionError(ctx, err)
	}
	if len(body) > maxBody {
		return HTTPResult{}, Fail("OutputTooLarge", fmt.Sprintf("the body has more than %d MiB", maxBody>>20), NotRetryable())
	}
	result := HTTPResult{Status: resp.StatusCode, Headers: map[string]string{}, Body: string(body)}
	for name, values := range resp.Header {
		result.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if isJSON(resp.Header.Get("Content-Type")) && utf8.Valid(body) && json.Valid(body) {
		result.JSON = body
	}
	if resp.StatusCode >= 400 && (o.Check == nil || *o.Check) {
		return HTTPResult{}, statusError(req, result)
	}
	return result, nil
}

func newRequest(ctx context.Context, method, address string, o httpOptions) (*http.Request, error) {
	if isNull(o.JSON) {
		o.JSON = nil
	}
	if o.JSON != nil && o.Body != nil {
		return nil, badArguments("http.request: json and body are given; it takes one of them")
	}
	var body io.Reader
	switch {
	case o.JSON != nil:
		body = strings.NewReader(string(o.JSON))
	case o.Body != nil:
		body = strings.NewReader(*o.Body)
	}
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, badArguments("http.request: %s is not an http:// or https:// URL", shown(address))
	}
	if err := addParams(target, o.Params); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), target.String(), body)
	if err != nil {
		return nil, badArguments("http.request: %v", err)
	}
	if o.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		if key := Info(ctx).IdempotencyKey; key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
	}
	for name, value := range o.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

// addParams adds to the query: text, numbers and booleans, and lists of them; None is left out.
func addParams(target *url.URL, params map[string]any) error {
	if len(params) == 0 {
		return nil
	}
	query := target.Query()
	for name, value := range params {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		for _, v := range values {
			switch v := v.(type) {
			case nil:
			case string:
				query.Add(name, v)
			case bool:
				query.Add(name, strconv.FormatBool(v))
			case int64, float64, json.Number:
				query.Add(name, fmt.Sprint(v))
			default:
				return badArguments("http.request: params[%q] wants text, a number, a boolean or a list of them", name)
			}
		}
	}
	target.RawQuery = query.Encode()
	return nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

func connectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the request was cut short: %w", context.Cause(ctx))
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		// Its text repeats the URL, which may hold a password.
		err = fmt.Errorf("%s %s: %w", strings.ToUpper(wrapped.Op), bare(wrapped.URL), wrapped.Err)
	}
	return Fail("ConnectionError", err.Error())
}

// shown is a text that is no URL to send a request to, as far as it cannot hold a password.
func shown(address string) string {
	if strings.ContainsAny(address, "@?") {
		return bare(address)
	}
	return strconv.Quote(address)
}

// bare is a URL without user, password and query: what may be shown.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func statusError(req *http.Request, r HTTPResult) error {
	body := r.Body
	if len(body) > maxErrorBody {
		body = strings.ToValidUTF8(body[:maxErrorBody], "")
	}
	opts := []FailOption{Data(map[string]any{"status": r.Status, "headers": r.Headers, "body": body})}
	if r.Status < 500 {
		switch r.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		default:
			opts = append(opts, NotRetryable())
		}
	}
	message := fmt.Sprintf("%s %s: %d %s", req.Method, bare(req.URL.String()), r.Status, http.StatusText(r.Status))
	return Fail("HTTPStatus", strings.TrimSpace(message), opts...)
}
