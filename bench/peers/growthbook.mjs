import { GrowthBookClient } from "@growthbook/growthbook";

export const name = "@growthbook/growthbook";

/** Its client for servers: one payload, a user context a call. */
export function start(flags, contexts) {
	const client = new GrowthBookClient().initSync({ payload: { features: translate(flags) } });
	const users = contexts.map((context) => ({ attributes: { ...context, id: context.targetingKey } }));
	const keys = flags.map(({ key }) => key);
	return {
		one: (key, i) => client.evalFeature(key, users[i]),
		all: (i) => keys.map((key) => client.evalFeature(key, users[i])),
		valueOf: (result) => result.value,
	};
}

export function translate(flags) {
	return Object.fromEntries(
		flags.map(({ key, variants, enabled, offVariant, rules, fallthrough }) => {
			if (!enabled) return [key, { defaultValue: variants[offVariant] }];
			const targeted = rules.map(({ when, serve }) => ({ condition: condition(when), ...serveOf(key, variants, serve) }));
			if (typeof fallthrough === "string") return [key, { defaultValue: variants[fallthrough], rules: targeted }];
			return [key, { defaultValue: variants[offVariant], rules: [...targeted, serveOf(key, variants, fallthrough)] }];
		}),
	);
}

const condition = ({ attribute, op, values }) => ({ [attribute]: op === "equals" ? values[0] : { $in: values } });

function serveOf(key, variants, serve) {
	if (typeof serve === "string") return { force: variants[serve] };
	return {
		key,
		hashAttribute: "id",
		hashVersion: 2,
		variations: serve.map(({ variant }) => variants[variant]),
		weights: serve.map(({ weight }) => weight / 100_000),
		meta: serve.map(({ variant }) => ({ key: variant })),
	};
}
