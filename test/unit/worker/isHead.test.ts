import { expect, test } from "vitest";
import { isHead } from "../../../worker/isHead";

const environment = { version: 1, digest: "d", overlay: { kill: [], baseline: [] }, hosts: ["shop.example"] };
const head = { revision: 1, environments: { production: environment }, keys: {} };

test("a head holds a revision, keys and environments, with hosts or without", () => {
	const { hosts: _, ...hostless } = environment;
	expect(isHead(head)).toBe(true);
	expect(isHead({ ...head, environments: { production: hostless } })).toBe(true);
	expect(isHead({ ...head, environments: {} })).toBe(true);
});

test.each<[string, unknown]>([
	["null", null],
	["a list", [head]],
	["a text", "head"],
	["no revision", { ...head, revision: undefined }],
	["a list of environments", { ...head, environments: [environment] }],
	["a list of keys", { ...head, keys: [] }],
	["an environment that is a list", { ...head, environments: { production: [] } }],
	["an environment without its version", { ...head, environments: { production: { ...environment, version: "1" } } }],
	["an environment without its overlay", { ...head, environments: { production: { ...environment, overlay: {} } } }],
	["hosts that are no texts", { ...head, environments: { production: { ...environment, hosts: [1] } } }],
])("what was written by hand with %s is none", (_, value) => {
	expect(isHead(value)).toBe(false);
});
