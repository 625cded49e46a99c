import type { ImapToken, ImapTokenizer } from '../../../shared/wire/imap-tokenizer.ts';

/** No command before login but ID has more than LOGIN; further arguments are only counted. */
const MAX_KEPT = 2;

/** The arguments of one command while they come in. */
export class CommandArguments {
  #values: string[] = [];
  #count = 0;
  #hasList = false;

  /** Takes one token that is no error. */
  accept(token: ImapToken, tokenizer: ImapTokenizer): 'goes-on' | 'done' {
    if (token === 'end') return 'done';
    if (token === 'open' && tokenizer.depth === 1) {
      this.#count++;
      this.#hasList = true;
    } else if (token === 'argument' && tokenizer.depth === 0) {
      this.#count++;
      if (this.#values.length < MAX_KEPT) this.#values.push(tokenizer.value);
    }
    return 'goes-on';
  }

  /** LOGIN's two astrings (NIL is an atom there); null when it is anything else. */
  credentials(): [user: string, password: string] | null {
    const [user, password] = this.#values;
    if (this.#count !== 2 || this.#hasList || user === undefined || password === undefined) {
      return null;
    }
    return [user, password];
  }
}
