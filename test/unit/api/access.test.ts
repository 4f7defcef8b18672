import { describe, expect, test } from "vitest";
import { accessOf, isAtLeast } from "../../../control/api/access";
import { ROLES, type Role } from "../../../control/store/tokens";

describe("a request", () => {
	test.each([
		["GET", "/api/v1/flags", "viewer", "named"],
		["HEAD", "/api/v1/flags", "viewer", "named"],
		["POST", "/api/v1/flags", "operator", "named"],
		["PATCH", "/api/v1/flags/tokens", "operator", "named"],
		["POST", "/api/v1/explain", "viewer", "named"],
		["DELETE", "/api/v1/keys/abc", "admin", "named"],
		["GET", "/api/v1/keys", "viewer", "named"],
		["GET", "/api/v1/tokens", "admin", "all"],
		["DELETE", "/api/v1/tokens/anna", "admin", "all"],
		["POST", "/api/v1/webhooks/abc/test", "admin", "all"],
		["POST", "/api/v1/import", "admin", "query"],
		["GET", "/api/v1/me", "viewer", "own"],
	])("%s %s takes %s, and is %s", (method, path, role, reach) => expect(accessOf(method, path)).toEqual({ role, reach }));

	test.each([
		["GET", "/api/v1/mess", "viewer", "named"],
		["POST", "/api/v1/tokens-of-mine", "operator", "named"],
		["POST", "/api/v1/explained", "operator", "named"],
		["POST", "/api/v1//tokens", "operator", "named"],
		["get", "/api/v1/flags", "operator", "named"],
		["TRACE", "/nowhere", "operator", "named"],
	])("%s %s, which nobody knows, is no other one's: %s, %s", (method, path, role, reach) =>
		expect(accessOf(method, path)).toEqual({ role, reach }),
	);
});

test("each role may do what those before it may, and no more; one that nobody knows may do nothing", () => {
	const may = (role: Role) => ROLES.filter((wanted) => isAtLeast(role, wanted));
	expect(ROLES.map(may)).toEqual([["viewer"], ["viewer", "operator"], ["viewer", "operator", "admin"]]);
	expect(may("root" as Role)).toEqual([]);
});
