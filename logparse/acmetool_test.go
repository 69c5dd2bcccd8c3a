package logparse

import "testing"

func TestAcmetool(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "the challenge does not tell why",
			log: []string{
				`20261123211351 [ERROR] acmetool.storageops: Target(a.example;https://ca.example/directory;0): failed to request certificate: the following errors occurred:`,
				`exhausted all possible challenges in authorization "https://ca.example/acme/authz/1/2" [due to inner error: the following errors occurred:`,
				`could not install DNS challenge, no hooks succeeded]`,
				`20261123211352 [INFO] acmetool.storageops: done`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:13:51Z client=acmetool run="line 1"`,
				`line 1: order time=2026-11-23T20:13:51Z client=acmetool run="line 1" order="line 1" name=a.example`,
				`line 2: authorization time=2026-11-23T20:13:51Z client=acmetool run="line 1" authorization=https://ca.example/acme/authz/1/2 in="line 1"`,
				`line 4: run stopped time=2026-11-23T20:13:52Z client=acmetool run="line 1" message=done`,
			},
		},
		{
			name: "cut after the URL",
			log: []string{
				`20261123211341 [INFO] acme.responder: http-01 self test failed: a.example: no`,
				`exhausted all possible challenges in authorization "https://ca.example/acme/authz/1/2" [due to inner error:`,
				`Get "http://a.example/.well-known/acme-challenge/x": no`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:13:41Z client=acmetool run="line 1"`,
				`line 1: failure time=2026-11-23T20:13:41Z client=acmetool run="line 1" cause="check failed" message="http-01 self test failed: a.example: no" identifier=a.example`,
				`line 2: authorization time=2026-11-23T20:13:41Z client=acmetool run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=pending`,
				`line 1: run stopped time=2026-11-23T20:13:41Z client=acmetool run="line 1" message="http-01 self test failed: a.example: no"`,
			},
		},
	})
}
