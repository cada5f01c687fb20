// The contents follow the reading, and what is wider than the window says that it scrolls.
"use strict";
{
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")];
  const follow = () => {
    const read = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3).pop() ?? sections[0];
    for (const [id, link] of links)
      if (id === read.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
  };
  const scrollers = [...document.querySelectorAll(".scroller")];
  const hint = (each) => each.parentElement.classList.toggle("more", each.scrollLeft + each.clientWidth < each.scrollWidth - 2);
  const look = () => { follow(); scrollers.forEach(hint); };
  for (const each of scrollers) each.addEventListener("scroll", () => hint(each), { passive: true });
  addEventListener("scroll", follow, { passive: true });
  addEventListener("resize", look);
  look();
}
