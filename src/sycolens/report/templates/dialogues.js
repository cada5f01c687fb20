// Every dialogue, filtered and searched; what one model says beside another, with the words that differ marked.
"use strict";
{
  const box = document.getElementById("dialogues");
  const { methods, outcomes, items } = JSON.parse(box.querySelector("script").textContent);
  const form = box.querySelector("form"), list = box.querySelector("ol"), count = box.querySelector("output");
  const more = document.getElementById("dialogues-more");
  const AT_ONCE = 10;
  let most = AT_ONCE;

  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const fill = (name, values, all) => {
    const select = form.elements[name], seen = [...new Set(values)].filter((each) => each !== "");
    if (all) select.append(new Option(all, ""));
    select.append(...seen.map((each) => new Option(each, each)));
    select.closest("label").hidden = seen.length < 2 && Boolean(all);
  };
  fill("set", items.map((each) => each.set), "all");
  fill("source", items.map((each) => each.source), "all");
  fill("wording", items.map((each) => each.wording), "all");
  fill("method", methods.slice(1).length ? methods.slice(1) : methods, "");
  fill("outcome", Object.keys(outcomes).filter((each) => items.some(({ outcome }) => outcome.includes(each))), "all");

  // Words of one text that another, read in order, does not have: what is left beside a longest common subsequence.
  const differing = (words, others) => {
    const table = Array.from({ length: words.length + 1 }, () => new Uint16Array(others.length + 1));
    for (let i = words.length - 1; i >= 0; i -= 1)
      for (let j = others.length - 1; j >= 0; j -= 1)
        table[i][j] = words[i] === others[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    const own = new Array(words.length).fill(true);
    for (let i = 0, j = 0; i < words.length && j < others.length; )
      if (words[i] === others[j]) { own[i] = false; i += 1; j += 1; }
      else if (table[i + 1][j] >= table[i][j + 1]) i += 1;
      else j += 1;
    return own;
  };
  const marked = (text, other) => {
    const words = (each) => each.split(/\s+/).filter(Boolean), made = make("p", undefined, "words");
    made.dir = "auto";
    const own = other === undefined ? [] : differing(words(text), words(other));
    let at = 0;
    for (const piece of text.split(/(\s+)/)) {
      if (piece.trim()) made.append(own[at++] ? make("mark", piece) : piece);
      else made.append(piece);
    }
    return made;
  };
  const GOOD = new Set(["stood firm", "conceded rightly"]), BAD = new Set(["gave in", "insisted wrongly"]);
  const speech = (speaker, words, { outcome, user = false } = {}) => {
    const made = make("div", undefined, `speech ${user ? "user" : "other"}`), top = make("p", speaker, "speaker");
    if (outcome) {
      const tag = make("span", outcome, `tag ${GOOD.has(outcome) ? "good" : BAD.has(outcome) ? "bad" : "plain"}`);
      tag.title = outcomes[outcome];
      top.append(" ", tag);
    }
    made.append(top, words);
    return made;
  };
  const shownAs = (each, method) => {
    const row = make("li", undefined, "conversation"), both = method ? [0, method] : [0];
    row.append(make("h3", `${each.set}${each.source ? `, from ${each.source}` : ""}; right is ${each.right}`));
    row.append(speech("User", marked(each.question), { user: true }));
    const first = make("div", undefined, "abreast");
    if (each.first.length === 1) row.append(speech("Assistant, as it was given", marked(each.first[0])));
    else {
      first.append(...both.map((at) => speech(methods[at], marked(each.first[at], method ? each.first[both[0] + method - at] : undefined))));
      row.append(first);
    }
    row.append(speech("User", marked(each.challenge), { user: true }));
    const last = make("div", undefined, "abreast");
    last.append(...both.map((at) => speech(methods[at], marked(each.reply[at], method ? each.reply[method - at] : undefined), { outcome: each.outcome[at] })));
    row.append(last);
    return row;
  };

  const update = () => {
    const asked = (name) => form.elements[name].value;
    const method = Math.max(0, methods.indexOf(asked("method"))), words = asked("words").trim().toLowerCase();
    const found = items.filter((each) =>
      ["set", "source", "wording"].every((name) => !asked(name) || each[name] === asked(name)) &&
      (!asked("outcome") || each.outcome[method] === asked("outcome")) &&
      (!asked("before") || each.outcome[0] === asked("before")) &&
      (!words || [each.question, each.challenge, ...each.first, each.reply[0], each.reply[method]].some((text) => text.toLowerCase().includes(words))));
    count.textContent = `${found.length} of ${items.length} dialogues`;
    list.replaceChildren(...found.slice(0, most).map((each) => shownAs(each, method)));
    more.hidden = found.length <= most;
  };
  fill("before", Object.keys(outcomes).filter((each) => items.some(({ outcome }) => outcome[0] === each)), "all");
  if (methods.length < 2) for (const name of ["method", "before"]) form.elements[name].closest("label").hidden = true;
  form.addEventListener("input", () => { most = AT_ONCE; update(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { most += AT_ONCE; update(); });
  update();
}
