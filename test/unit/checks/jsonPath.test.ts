import { expect, test } from "vitest";
import { JSON_PATH, valueAt } from "../../../core/checks/jsonPath";

const body = { status: "ok", parts: [{ name: "db", up: false }, null], "a-b": 0, empty: null };

test.each([
	["$", body],
	["$.status", "ok"],
	["$.parts[0].name", "db"],
	["$.parts[0].up", false],
	["$.parts[1]", null],
	["$.a-b", 0],
	["$.empty", null],
])("%s finds what stands there", (path, value) => {
	expect(path).toMatch(JSON_PATH);
	expect(valueAt(path, body)).toEqual({ found: true, value });
});

test.each([
	"$.missing",
	"$.parts[2]",
	"$.parts[0].name.x",
	"$.empty.x",
	"$.parts.length",
	"$.constructor",
	"$.__proto__",
	"$.toString",
	"$.status[0]",
])("%s finds nothing", (path) => {
	expect(path).toMatch(JSON_PATH);
	expect(valueAt(path, body)).toEqual({ found: false });
});

test.each(["", "status", "$status", "$..status", "$.a b", "$[*]", "$[-1]", "$['a']", "$.a[?(@.b)]", "$.a.", "$.é"])(
	"%s is no path",
	(path) => expect(path).not.toMatch(JSON_PATH),
);
