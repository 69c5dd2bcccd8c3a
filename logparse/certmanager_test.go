package logparse

import "testing"

func TestCertManager(t *testing.T) { testLogs(t, certManagerLogs()) }

func certManagerLogs() []logTest {
	const (
		at        = `1123 21:18:41.123456       1 `
		order     = ` logger="cert-manager.controller" resource_name="web-1-22" resource_namespace="x" resource_kind="Order" resource_version="v1"`
		challenge = ` logger="cert-manager.controller" resource_name="web-1-22-333" resource_namespace="x" resource_kind="Challenge" resource_version="v1" dnsName="a.example" type="DNS-01"`
		wild      = ` logger="cert-manager.controller" resource_name="web-1-22-444" resource_namespace="x" resource_kind="Challenge" resource_version="v1" dnsName="b.example" type="DNS-01"`
	)
	return []logTest{
		{
			name: "all steps, one challenge fails",
			log: []string{
				`I` + at + `controller.go:76] "starting cert-manager controller" logger="cert-manager.controller" version="v1.16.0" git_commit="x"`,
				`I` + at + `sync.go:295] "built set of identifiers for Order"` + order + ` domains=["*.b.example","a.example"] ipAddresses=[]`,
				`I` + at + `sync.go:339] "submitted Order to ACME server"` + order,
				`I` + at + `sync.go:754] "Retrieved ACME order from server"` + order + ` raw_data={"URI":"https://ca.example/acme/order/1/9","Status":"pending","Expires":"2026-11-30T20:18:41Z","Identifiers":[{"Type":"dns","Value":"*.b.example"}],"AuthzURLs":["https://ca.example/acme/authz/1/2","https://ca.example/acme/authz/1/3"],"FinalizeURL":"https://ca.example/acme/finalize/1/9","Error":null}`,
				`I` + at + `dns.go:107] "presenting DNS01 challenge for domain"` + challenge,
				`I` + at + `dns.go:107] "presenting DNS01 challenge for domain"` + wild,
				`E` + at + `sync.go:208] "propagation check failed" err="DNS record for \"a.example\" not yet propagated"` + challenge,
				`E` + at + `sync.go:208] "propagation check failed" err="DNS record for \"a.example\" not yet propagated"` + challenge,
				`I` + at + `sync.go:445] "accepting challenge with ACME server"` + challenge,
				`I` + at + `sync.go:445] "accepting challenge with ACME server"` + wild,
				`I` + at + `logs.go:1] "Event(v1.ObjectReference{Kind:\"Challenge\", Namespace:\"x\", Name:\"web-1-22-444\", UID:\"u\"}): type: 'Normal' reason: 'DomainVerified' Domain \"b.example\" verified with \"DNS-01\" validation" logger="cert-manager.controller"`,
				`E` + at + `sync.go:473] "error waiting for authorization" err="acme: authorization error for a.example: 403 urn:ietf:params:acme:error:unauthorized: wrong record"` + challenge,
				`E` + at + `sync.go:316] "unexpected non-ACME API error" err="acme: authorization error for a.example: 403 urn:ietf:params:acme:error:unauthorized: wrong record"` + challenge,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" version=v1.16.0`,
				`line 3: order time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" order=x/web-1-22 name=*.b.example name=a.example`,
				`line 4: order time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" order=x/web-1-22 status=pending name=*.b.example authorization=https://ca.example/acme/authz/1/2 authorization=https://ca.example/acme/authz/1/3 expires=2026-11-30T20:18:41Z`,
				`line 5: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example status=pending`,
				`line 6: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=b.example wildcard=true status=pending`,
				`line 7: failure time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" cause="check failed" message="propagation check failed: DNS record for \"a.example\" not yet propagated" order=x/web-1-22 in=x/web-1-22 identifier=a.example`,
				`line 9: challenge answered time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example type=dns-01`,
				`line 10: challenge answered time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=b.example wildcard=true type=dns-01`,
				`line 11: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=b.example wildcard=true status=valid`,
				`line 12: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example status=invalid problem=urn:ietf:params:acme:error:unauthorized httpStatus=403 detail="wrong record"`,
				`line 13: run stopped time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" message="unexpected non-ACME API error"`,
			},
		},
		{
			name: "errors only, a value of several lines, and success",
			log: []string{
				`E` + at + `sync.go:332] "failed to create Order resource due to bad request, marking Order as failed" err=<`,
				"\t" + `429 urn:ietf:params:acme:error:rateLimited: too many certificates for "example"; subproblems:`,
				"\t\t" + `urn:ietf:params:acme:error:rateLimited: [dns: a.example] more`,
				` >` + order,
				`E` + at + `controller.go:155] "re-queuing item due to error processing" err="error creating new order: Post \"https://ca.example/new-order\": dial tcp: no route to host" logger="cert-manager.controller" key="x/web-1-22"`,
				`E` + at + `controller.go:155] "re-queuing item due to error processing" err="some Secret is missing" logger="cert-manager.controller" key="x/other"`,
				`I` + at + `sync.go:168] "Finalizing Order as order state is 'Ready'"` + order,
				`I` + at + `sync.go:121] "Order has already been completed, cleaning up any owned Challenge resources"` + order,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1"`,
				`line 1: problem time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" problem=urn:ietf:params:acme:error:rateLimited httpStatus=429 detail="too many certificates for \"example\""`,
				`line 5: failure time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" cause=network message="error creating new order: Post \"https://ca.example/new-order\": dial tcp: no route to host" order=x/web-1-22`,
				`line 7: order time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" order=x/web-1-22 status=ready`,
				`line 8: order time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" order=x/web-1-22 status=valid`,
				`line 8: run stopped time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" message="Order has already been completed, cleaning up any owned Challenge resources"`,
			},
		},
		{
			name: "version 1.9, a DNS provider that refuses, killed",
			log: []string{
				`I` + at + `start.go:75] cert-manager "msg"="starting controller" "git-commit"="x" "version"="v1.9.0"`,
				`I` + at + `sync.go:257] cert-manager/controller/orders "msg"="build set of domains for Order" "resource_kind"="Order" "resource_name"="web-1-22" "resource_namespace"="x" "domains"=["a.example"]`,
				`I` + at + `dns.go:102] cert-manager/controller/challenges/Present "msg"="presenting DNS01 challenge for domain" "dnsName"="a.example" "resource_kind"="Challenge" "resource_name"="web-1-22-333" "resource_namespace"="x" "type"="DNS-01"`,
				`E` + at + `controller.go:1] cert-manager/controller/challenges "msg"="re-queuing item due to error processing" "error"="zone not found" "key"="x/web-1-22-333"`,
				`E` + at + `sync.go:379] cert-manager/controller/challenges/acceptChallenge "msg"="error waiting for authorization" "error"="acme: authorization for identifier a.example is invalid" "dnsName"="a.example" "resource_kind"="Challenge" "resource_name"="web-1-22-333" "resource_namespace"="x" "type"="DNS-01"`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" version=v1.9.0`,
				`line 3: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example status=pending`,
				`line 4: failure time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" cause="dns provider" message="zone not found" order=x/web-1-22 in=x/web-1-22 identifier=a.example`,
				`line 5: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example status=invalid`,
				`line 5: run stopped time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" message="error waiting for authorization"`,
			},
		},
		{
			name: "JSON",
			log: []string{
				`{"ts":1795465121123.456,"caller":"acmechallenges/sync.go:445","msg":"accepting challenge with ACME server","logger":"cert-manager.controller.acceptChallenge","v":4,"resource_name":"web-1-22-333","resource_namespace":"x","resource_kind":"Challenge","dnsName":"a.example","type":"HTTP-01"}`,
				`{"ts":1795465121123.456,"caller":"acmechallenges/sync.go:473","msg":"error waiting for authorization","logger":"cert-manager.controller.acceptChallenge","resource_name":"web-1-22-333","resource_namespace":"x","resource_kind":"Challenge","dnsName":"a.example","type":"HTTP-01","err":"context deadline exceeded"}`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1"`,
				`line 1: authorization time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example status=pending`,
				`line 1: challenge answered time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" in=x/web-1-22 identifier=a.example type=http-01`,
				`line 2: failure time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" cause=network message="context deadline exceeded" order=x/web-1-22 in=x/web-1-22 identifier=a.example`,
				`line 2: run stopped time=2026-11-23T20:18:41.123456Z client=cert-manager run="line 1" message="error waiting for authorization"`,
			},
		},
	}
}
