package logparse

import "testing"

func TestLacme(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "without --debug",
			log: []string{
				`Using configuration file: /etc/lacme/lacme.conf`,
				`[a.example] Will request authorization for: a.example, b.example`,
				`Installing X.509 certificate /etc/a.crt`,
			},
			want: []string{
				`line 1: run started client=lacme run="line 1"`,
				`line 3: order client=lacme run="line 1" order="line 3" name=a.example name=b.example`,
				`line 3: order client=lacme run="line 1" order="line 3" status=valid`,
				`line 3: run ended client=lacme run="line 1"`,
			},
		},
		{
			name: "a body in one line, and a refusal",
			log: []string{
				`Using configuration file: /etc/lacme/lacme.conf`,
				`[1] SIGNED header=base64url({"alg":"RS256","kid":"https://ca.example/acct/1"}) playload=base64url({"status":"deactivated"})`,
				`[2] >>> POST https://ca.example/acme/authz/1/2 <<<`,
				`[2] >>> 200 OK`,
				`{"status":"deactivated","identifier":{"type":"dns","value":"a.example"},"challenges":[]}[1] SIGNED header=base64url({"alg":"RS256"}) playload=base64url({})`,
				`[2] >>> POST https://ca.example/acme/chall/1/3/x <<<`,
				`[2] >>> 403 Forbidden`,
				`Date: Mon, 23 Nov 2026 21:33:52 GMT`,
				`[3] Incoming connection from [127.0.0.1]: GET /`,
				`{`,
				`  "type": "urn:ietf:params:acme:error:unauthorized"`,
				`}403 (no)`,
				`[a.example] Error: Couldn't issue X.509 certificate!`,
			},
			want: []string{
				`line 1: run started client=lacme account=https://ca.example/acct/1 run="line 1"`,
				`line 3: authorization client=lacme account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2`,
				`line 4: deactivated client=lacme account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=deactivated`,
				`line 6: authorization client=lacme account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/3`,
				`line 7: problem time=2026-11-23T21:33:52Z client=lacme account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/3 problem=urn:ietf:params:acme:error:unauthorized httpStatus=403 request=https://ca.example/acme/chall/1/3/x`,
				`line 13: run ended time=2026-11-23T21:33:52Z client=lacme account=https://ca.example/acct/1 run="line 1" exit=error message="[a.example] Error: Couldn't issue X.509 certificate!"`,
			},
		},
	})
}
