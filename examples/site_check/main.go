// Command site_check is senpuki with an activity that reads a page and its links.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// maxPage is how much of a page is looked at.
const maxPage = 4 << 20

// Page is what is known of an address that has answered.
type Page struct {
	Status int      `json:"status"`
	Links  []string `json:"links"` // to the same host, sorted, each once
}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("fetch_page", fetchPage)
	return reg
}

// client finds the demonstration's site wherever this process serves it.
var client = &http.Client{Transport: &http.Transport{
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host+":80" {
			local, err := serveSite()
			if err != nil {
				return nil, err
			}
			address = local
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	},
}}

// fetchPage asks for an address. That there is no such page is an answer; that the server
// cannot say, or is not there, is a failure, and worth another attempt.
func fetchPage(ctx context.Context, address string) (Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Page{}, activities.Fail("BadAddress", err.Error(), activities.NotRetryable())
	}
	resp, err := client.Do(req)
	if err != nil {
		return Page{}, activities.Fail("Unreachable", "no answer from "+address, activities.Cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return Page{}, activities.Fail("ServerError", fmt.Sprintf("%s answered %s", address, resp.Status),
			activities.Data(map[string]any{"status": resp.StatusCode}))
	}
	page := Page{Status: resp.StatusCode, Links: []string{}}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return page, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return Page{}, activities.Fail("Unreachable", address+" was cut off", activities.Cause(err))
	}
	page.Links = links(resp.Request.URL, string(text)) // relative to where redirects have led
	return page, nil
}

var reference = regexp.MustCompile(`(?i)\s(?:href|src)\s*=\s*"([^"]*)"`)

// links are the addresses on the same host that a page refers to.
func links(base *url.URL, text string) []string {
	found := []string{}
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		target, err := base.Parse(strings.TrimSpace(m[1]))
		if err != nil || target.Host != base.Host || target.Scheme != "http" && target.Scheme != "https" {
			continue
		}
		target.Fragment = ""
		found = append(found, target.String())
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func main() { cli.Main(registry()) }
