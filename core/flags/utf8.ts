/**
 * Writes text as UTF-8 (RFC 3629) and returns the number of bytes; lone surrogates become U+FFFD, as TextEncoder does.
 * core has no TextEncoder. `into` must hold 3 bytes a UTF-16 unit.
 */
export function writeUtf8(text: string, into: Uint8Array): number {
	let at = 0;
	for (let i = 0; i < text.length; i++) {
		let code = text.charCodeAt(i);
		if (code < 0x80) {
			into[at++] = code;
			continue;
		}
		if (code < 0x800) {
			into[at++] = 0xc0 | (code >> 6);
			into[at++] = 0x80 | (code & 0x3f);
			continue;
		}
		if (code >= 0xd800 && code < 0xe000) {
			const low = text.charCodeAt(i + 1);
			if (code < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
				i++;
				const point = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
				into[at++] = 0xf0 | (point >> 18);
				into[at++] = 0x80 | ((point >> 12) & 0x3f);
				into[at++] = 0x80 | ((point >> 6) & 0x3f);
				into[at++] = 0x80 | (point & 0x3f);
				continue;
			}
			code = 0xfffd;
		}
		into[at++] = 0xe0 | (code >> 12);
		into[at++] = 0x80 | ((code >> 6) & 0x3f);
		into[at++] = 0x80 | (code & 0x3f);
	}
	return at;
}
