// Programs and deployments.

package backendtest

import "github.com/senpuki/senpuki/backend"

var deployCases = []testCase{
	{"versions count per workflow", func(f *fixture) {
		f.deploy("p1", "p2")
		got, err := f.Deploy(f.ctx, nil, []backend.Deployment{
			{Workflow: "b", Digest: "p1", By: "me", Note: "first"}, {Workflow: "a", Digest: "p1"}, {Workflow: "b", Digest: "p2"},
		})
		f.must(err)
		expect(f, "versions", []int{got[0].Version, got[1].Version, got[2].Version}, []int{1, 1, 2})
		all, err := f.Deployments(f.ctx, "b")
		f.must(err)
		expect(f, "newest first", all, []backend.Deployment{got[2], got[0]})
		newest, err := f.Deployments(f.ctx, "")
		f.must(err)
		expect(f, "by name", newest, []backend.Deployment{got[1], got[2]})
	}},
	{"the newest is not stored again", func(f *fixture) {
		f.deploy("p1", "p2")
		first, err := f.Deploy(f.ctx, nil, []backend.Deployment{{Workflow: "w", Digest: "p1", By: "me"}})
		f.must(err)
		again, err := f.Deploy(f.ctx, nil, []backend.Deployment{{Workflow: "w", Digest: "p1", By: "you"}})
		f.must(err)
		expect(f, "as it stands", again, first)
		back, err := f.Deploy(f.ctx, nil, []backend.Deployment{{Workflow: "w", Digest: "p2"}, {Workflow: "w", Digest: "p1"}})
		f.must(err)
		expect(f, "an older program may come back", back[1].Version, 3)
	}},
	{"a missing program refuses all", func(f *fixture) {
		_, err := f.Deploy(f.ctx, []backend.Program{{Digest: "new"}}, []backend.Deployment{
			{Workflow: "w", Digest: "new"}, {Workflow: "w", Digest: "missing"}})
		f.want(err, backend.ErrNoProgram)
		_, err = f.Program(f.ctx, "new")
		f.want(err, backend.ErrNotFound)
		all, err := f.Deployments(f.ctx, "w")
		f.must(err)
		expect(f, "deployments", len(all), 0)
	}},
	{"a known program is left alone, but for sources that are damaged", func(f *fixture) {
		before, err := f.Program(f.ctx, digest)
		f.must(err)
		for _, sources := range []string{`"damaged"`, string(before.Sources)} { // which is which, the digest says
			_, err = f.Deploy(f.ctx, []backend.Program{{Digest: digest, Sources: []byte(sources)}}, nil)
			f.must(err)
			after, err := f.Program(f.ctx, digest)
			f.must(err)
			expect(f, "sources", string(after.Sources), sources)
			expect(f, "created", after.Created, before.Created)
		}
	}},
}
