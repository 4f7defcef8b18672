/** What is refused and where. Thrown while a pattern is read; compilePattern returns it as a value. */
export class PatternError extends Error {
	readonly position: number;

	constructor(position: number, message: string) {
		super(message);
		this.position = position;
	}
}

/** The place in a pattern's source that is read next. */
export class Cursor {
	readonly source: string;
	/** In UTF-16 units. */
	at = 0;

	constructor(source: string) {
		this.source = source;
	}

	get atEnd(): boolean {
		return this.at >= this.source.length;
	}

	sees(text: string): boolean {
		return this.source.startsWith(text, this.at);
	}

	/** Passes the text if it comes next. */
	eat(text: string): boolean {
		const seen = this.sees(text);
		if (seen) this.at += text.length;
		return seen;
	}

	/** The next character, or "" at the end. */
	take(): string {
		const point = this.source.codePointAt(this.at);
		if (point === undefined) return "";
		if (point >= 0xd800 && point < 0xe000) throw new PatternError(this.at, "a lone surrogate is no character");
		const char = String.fromCodePoint(point);
		this.at += char.length;
		return char;
	}

	/** As many of the characters as come next. */
	takeWhile(chars: string): string {
		const from = this.at;
		while (!this.atEnd && chars.includes(this.source.charAt(this.at))) this.at++;
		return this.source.slice(from, this.at);
	}
}

export function grouped(count: number): string {
	return count.toLocaleString("en-US");
}
