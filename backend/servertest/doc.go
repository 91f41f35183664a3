// Package servertest runs throwaway database servers for tests.
//
// [Postgres], [Pooler] and [Redis] start a server once per test binary, in a directory of
// its own, and hand out URLs under which a test is alone. A shell watches over
// each server: its input is a pipe that the test binary holds open, so that,
// however the binary ends, the server is stopped and its directory removed.
//
// A server that runs already is used instead when SENPUKI_TEST_POSTGRES,
// SENPUKI_TEST_POOLER or SENPUKI_TEST_REDIS is its URL. Where the programs are missing tests are
// skipped, except when CI is "true": there nothing is skipped silently.
package servertest
