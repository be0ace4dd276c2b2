//! The page in a real browser, at the width of a phone and of a screen.

use super::{night, quiet, report};
use dbbak_testkit::{
    browser::{Browser, require_browser},
    history::{History, Product},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A page in a frame of that width: a browser's window cannot be as narrow as a phone. It says how wide the content is, and
/// what stands wider than the frame. The script is the test's; the page has none.
fn framed(page: &str, width: u32) -> String {
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!DOCTYPE html><body style=\"margin:0\"><pre id=\"measured\" hidden></pre>\
         <iframe id=\"frame\" srcdoc=\"{escaped}\" width=\"{width}\" height=\"1990\" style=\"border:0\"></iframe><script>
addEventListener('load', () => {{
    const page = document.getElementById('frame').contentDocument, wide = [];
    for (const element of page.body.querySelectorAll('*')) {{
        const box = element.getBoundingClientRect();
        const inside = element.closest('svg') && element.tagName !== 'svg';
        if (!inside && (box.right > {width} + 0.5 || box.left < -0.5)) wide.push(element.outerHTML.slice(0, 90));
    }}
    const said = [page.documentElement.clientWidth, page.documentElement.scrollWidth, wide.join(' ; ')];
    document.getElementById('measured').textContent = said.join('|');
}});
</script></body>"
    )
}

fn written(dir: &Path, name: &str, history: &History) -> (PathBuf, String) {
    let page = dbbak_cli::timeline_page(&report(history), "/backup/shop & <co>");
    let path = dir.join(format!("{name}.html"));
    fs::write(&path, &page).unwrap();
    (path, page)
}

/// Where pictures lie for a person to look at.
fn pictures() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("timeline-pictures");
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn the_page_needs_nothing_else() {
    for history in [night(), quiet(Product::Mariadb), History::new(Product::Mysql57)] {
        let page = dbbak_cli::timeline_page(&report(&history), "/backup/shop & <co>");
        for reference in ["http:", "https:", "src=", "href=", "@import", "<script", "<link", "<iframe", "<img"] {
            assert!(!page.contains(reference), "{reference}");
        }
        // References into the page itself alone.
        assert!(page.matches("url(").count() == page.matches("url(#").count());
        assert!(page.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
        assert!(page.contains("@media print") && page.contains("/backup/shop &amp; &lt;co&gt;"));
        assert!(page.len() < 60_000, "{}", page.len());
    }
}

#[test]
fn in_a_browser_the_page_shows_every_window_and_fits() {
    if !require_browser() {
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let browser = Browser::new(dir.path());
    for (name, history) in [("night", night()), ("quiet", quiet(Product::Mysql84))] {
        let report = report(&history);
        let (path, page) = written(dir.path(), name, &history);
        for width in [360, 1000] {
            let frame = dir.path().join("frame.html");
            fs::write(&frame, framed(&page, width)).unwrap();
            let dom = browser.dom(&frame, 1000, 2000).unwrap();
            let said = dom.split("id=\"measured\" hidden=\"\">").nth(1).unwrap().split("</pre>").next().unwrap();
            assert_eq!(said, format!("{width}|{width}|"), "{name}: the page is wider than the window");
            let picture = pictures().join(format!("{name}-{width}.png"));
            assert!(browser.screenshot(&frame, &picture, width, 2000).unwrap() > 5000);
        }
        let dom = browser.dom(&path, 1000, 1000).unwrap();
        assert_eq!(dom.matches("<article class=\"window\"").count(), report.windows.len());
        let holes = dom.matches("<article class=\"gap\"").count() + dom.matches("<article class=\"late\"").count();
        assert_eq!(holes, report.holes.len());
        for hole in &report.holes {
            assert!(dom.contains(&format!("data-from=\"{}\"", hole.from.format("%Y-%m-%d %H:%M:%S"))), "{hole:?}");
        }
    }
}
