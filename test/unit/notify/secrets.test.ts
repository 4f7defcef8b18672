import * as fc from "fast-check";
import { expect, test } from "vitest";
import { OVERLAP_MS, SECRETS_MAX, type SigningSecrets, rotated, signing } from "../../../core/notify/secrets";

const NOW_MS = 1_800_000_000_000;
const FIRST: SigningSecrets = [{ secret: "a", untilMs: null }];
const names = (secrets: SigningSecrets): string => secrets.map(({ secret }) => secret).join("");
const after = (secrets: SigningSecrets, secret: string, now: number): SigningSecrets => {
	const result = rotated(secrets, secret, now);
	if (!result.ok) throw new Error(result.error.kind);
	return result.value;
};

test("a secret that was rotated away signs for 24 h more, behind the new one", () => {
	const secrets = after(FIRST, "b", NOW_MS);
	expect(names(signing(secrets, NOW_MS))).toBe("ba");
	expect(names(signing(secrets, NOW_MS + OVERLAP_MS - 1))).toBe("ba");
	expect(names(signing(secrets, NOW_MS + OVERLAP_MS))).toBe("b");
});

test("a second rotation takes nothing from the first one's time", () => {
	const secrets = after(after(FIRST, "b", NOW_MS), "c", NOW_MS + 1_000);
	expect(names(signing(secrets, NOW_MS + OVERLAP_MS - 1))).toBe("cba");
	expect(names(signing(secrets, NOW_MS + OVERLAP_MS))).toBe("cb");
	expect(names(signing(secrets, NOW_MS + OVERLAP_MS + 1_000))).toBe("c");
});

test("too many that still sign are refused, with the time when the next one stops", () => {
	let secrets = FIRST;
	for (let i = 1; i < SECRETS_MAX; i++) secrets = after(secrets, String(i), NOW_MS + i);
	expect(rotated(secrets, "x", NOW_MS + 10)).toEqual({
		ok: false,
		error: { kind: "too_many_secrets", limit: SECRETS_MAX, untilMs: NOW_MS + 1 + OVERLAP_MS },
	});
	expect(names(after(secrets, "x", NOW_MS + 1 + OVERLAP_MS))).toBe("x4321");
});

test("whatever is rotated when, the newest always signs, and each for its whole time", () =>
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 0, max: OVERLAP_MS }), { maxLength: 12 }), (waits) => {
			let [secrets, now] = [FIRST, NOW_MS];
			const owed = new Map<string, number>();
			for (const [i, wait] of waits.entries()) {
				now += wait;
				const result = rotated(secrets, String(i), now);
				if (!result.ok) continue;
				owed.set(secrets[0]?.secret ?? "", now + OVERLAP_MS);
				secrets = result.value;
				const live = signing(secrets, now).map(({ secret }) => secret);
				if (live[0] !== String(i) || live.length > SECRETS_MAX) return false;
				for (const [secret, untilMs] of owed) if (live.includes(secret) !== untilMs > now) return false;
			}
			return true;
		}),
	));
