import { init } from "@launchdarkly/node-server-sdk";
import { TestData } from "@launchdarkly/node-server-sdk/integrations";

export const name = "@launchdarkly/node-server-sdk";

/** Its flags come from TestData: no network, no events. Its answers are promises. */
export async function start(flags, contexts) {
	const source = new TestData();
	await Promise.all(flags.map((flag) => source.usePreconfiguredFlag(translate(flag))));
	const client = init("sdk-key", { updateProcessor: source.getFactory(), sendEvents: false, diagnosticOptOut: true, logger: silent });
	await client.waitForInitialization({ timeout: 5 });
	const users = contexts.map(({ targetingKey, ...attributes }) => ({ kind: "user", key: targetingKey, ...attributes }));
	return {
		isAsync: true,
		one: (key, i) => client.variationDetail(key, users[i], undefined),
		all: (i) => client.allFlagsState(users[i], { withReasons: true }),
		valueOf: (result) => result.value,
		stop: () => client.close(),
	};
}

const silent = { error() {}, warn() {}, info() {}, debug() {} };

function translate({ key, variants, enabled, offVariant, rules, fallthrough, salt }) {
	const names = Object.keys(variants);
	const serveOf = (serve) => {
		if (typeof serve === "string") return { variation: names.indexOf(serve) };
		const variations = serve.map(({ variant, weight }) => ({ variation: names.indexOf(variant), weight }));
		return { rollout: { contextKind: "user", variations } };
	};
	const clause = ({ attribute, values }) => ({ contextKind: "user", attribute, op: "in", values, negate: false });
	return {
		key,
		version: 1,
		on: enabled,
		variations: Object.values(variants),
		offVariation: names.indexOf(offVariant),
		fallthrough: serveOf(fallthrough),
		rules: rules.map(({ id, when, serve }) => ({ id, clauses: [clause(when)], ...serveOf(serve) })),
		targets: [],
		prerequisites: [],
		salt,
	};
}
