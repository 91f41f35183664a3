// Redis.

package servertest

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"
)

var redis = server{env: "SENPUKI_TEST_REDIS", make: startRedis}

// Redis returns the URL of a server. Tests share it: channels and keys are to
// have names of their own.
func Redis(t testing.TB) string {
	t.Helper()
	return redis.url(t)
}

func startRedis() (string, error) {
	program, err := find("redis-server")
	if err != nil {
		return "", err
	}
	o, err := newOwner()
	if err != nil {
		return "", err
	}
	dir, err := o.directory()
	if err != nil {
		return "", err
	}
	socket := filepath.Join(dir, "redis.sock")
	ready := func() error {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		answer := make([]byte, 7)
		if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "+PONG\r\n" {
			return fmt.Errorf("PING is answered with %q: %w", answer[:n], err)
		}
		return nil
	}
	err = o.serve(dir, ready, program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	return "unix://" + socket, err
}
