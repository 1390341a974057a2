package system_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// schema is what a part of openapi.json says about a value.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Const      any
	OneOf      []schema
	Items      *schema
	Properties map[string]schema
	Additional *schema `json:"additionalProperties"`
	Required   []string
}

type content map[string]struct{ Schema schema }

// openAPI is the part of docs/openapi.json that the test reads.
type openAPI struct {
	Paths map[string]map[string]struct {
		RequestBody *struct{ Content content }
		Responses   map[string]struct{ Content content }
	}
	Components struct{ Schemas map[string]schema }
}

// misfits returns the places where a value is not as its schema says.
func (o *openAPI) misfits(at string, s schema, value any) (found []string) {
	if name, is := strings.CutPrefix(s.Ref, "#/components/schemas/"); is {
		return o.misfits(at, o.Components.Schemas[name], value)
	}
	if len(s.OneOf) > 0 {
		if slices.ContainsFunc(s.OneOf, func(one schema) bool { return o.misfits(at, one, value) == nil }) {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v is none of what it may be", at, value)}
	}
	if s.Const != nil {
		if s.Const != value {
			return []string{fmt.Sprintf("%s: %v, want %v", at, value, s.Const)}
		}
		return nil
	}
	if s.Type != kindOf(value) {
		return []string{fmt.Sprintf("%s: %v, want one of type %s", at, value, s.Type)}
	}
	switch v := value.(type) {
	case []any:
		for i, one := range v {
			found = append(found, o.misfits(fmt.Sprintf("%s[%d]", at, i), *s.Items, one)...)
		}
	case map[string]any:
		for key, one := range v {
			of, ok := s.Properties[key]
			if !ok && s.Additional != nil {
				of, ok = *s.Additional, true
			}
			if !ok {
				found = append(found, at+"."+key+" is not described")
				continue
			}
			found = append(found, o.misfits(at+"."+key, of, one)...)
		}
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				found = append(found, at+"."+key+" is missing")
			}
		}
	}
	return found
}

// kindOf returns the name that JSON Schema has for the type of a value.
func kindOf(value any) string {
	switch v := value.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

// What a Fairlead that plays both relays answers is what openapi.json says, and it answers
// whatever is described: with a delegation, a lease, drops and refusals behind it.
func TestOpenAPI(t *testing.T) {
	text, err := os.ReadFile("../../docs/openapi.json")
	labtest.Need(t, err)
	var described openAPI
	labtest.Need(t, json.Unmarshal(text, &described))

	r := rig.Build(t, lab.Plan{Clients: 1})
	link := netip.MustParsePrefix("10.1.1.0/24")
	r.Relay.IP("-4 addr add 10.9.0.1/24 dev u0")
	r.Relay.IP("-4 addr add 10.1.1.1/24 dev d1")
	r.Core.IP("-4 addr add 10.9.0.2/24 dev k0")
	r.Core.IP("-4 route add %s via 10.9.0.1", link)
	r.Prepare(strings.Replace(r.Standard("limits: {client: 1}"), "relay6:", `  - {name: server4, address: 10.9.0.2, role: server, interfaces: [u0], protection: none}
relay4: {links: [{match: "d*", agent-information: add}]}
server6: {links: [{match: home0, router: false}], subnets: [{subnet: 2001:db8:77::/64, pools: [{pool: "2001:db8:77::/112"}]}]}
relay6:`, 1))
	r.Kea()
	_, err = peer.StartServer4(r.Core.Node, peer.Kea4UDP, peer.Server4Config{
		Interface: "k0", Address: netip.MustParseAddr("10.9.0.2"), Subnets: []netip.Prefix{link},
	})
	labtest.Need(t, err)
	r.Fairlead.Start()
	c := r.Play(1, rig.DUID(1))
	c.Obtain(1)
	c4, err := peer.StartClient4(r.Client(1).Node, "c0")
	labtest.Need(t, err)
	defer c4.Close()
	_, err = c4.Obtain(labtest.Patience)
	labtest.Need(t, err)
	// Paths that need a query.
	needs := map[string]string{"/v1/why": "?client=00:03:00:01:02:00:00:00:c0:01&link_address=2001:db8:77::1"}
	call := func(method, path, body string, code int) {
		t.Helper()
		operation, ok := described.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s %s is not described", method, path)
			return
		}
		got, answer, err := r.Fairlead.Call(method, path+needs[path], body)
		labtest.Need(t, err)
		if got != code {
			t.Errorf("%s %s: %d, want %d: %s", method, path, got, code, answer)
		}
		responses := operation.Responses["200"]
		if code != http.StatusOK {
			responses = operation.Responses["default"]
		}
		var value any
		labtest.Need(t, json.Unmarshal(answer, &value))
		for _, m := range described.misfits(method+" "+path, responses.Content["application/json"].Schema, value) {
			t.Error(m)
		}
		if body != "" {
			labtest.Need(t, json.Unmarshal([]byte(body), &value))
			for _, m := range described.misfits("the body of "+path, operation.RequestBody.Content["application/json"].Schema, value) {
				t.Error(m)
			}
		}
	}
	asked := 0
	for path, methods := range described.Paths {
		if operation, ok := methods["get"]; ok {
			if _, streams := operation.Responses["200"].Content["text/event-stream"]; !streams {
				call(http.MethodGet, path, "", http.StatusOK)
				asked++
			}
		}
	}
	if asked < 7 {
		t.Errorf("%d paths were asked: the description is read wrongly", asked)
	}
	call(http.MethodPost, "/v1/reload", `{"dry_run":true}`, http.StatusOK)
	call(http.MethodPost, "/v1/clear", `{"link":"d1","block":true}`, http.StatusOK)
	call(http.MethodGet, "/v1/blocks", "", http.StatusOK)
	call(http.MethodGet, "/v1/history", "", http.StatusOK)
	call(http.MethodPost, "/v1/reconfigure", `{"all":true}`, http.StatusOK)
	call(http.MethodPost, "/v1/reserve", `{"duid":"00:03:00:01:02:00:5e:10:00:01","addresses":["2001:db8:f::5"]}`, http.StatusBadRequest)
	call(http.MethodPost, "/v1/unblock", `{"link":"nosuch0"}`, http.StatusNotFound)
}
