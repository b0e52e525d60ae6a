"""Mutations of a small XML file: tags, entities, encodings."""

import re

from numpy.random import Generator

from .mutations import TEXT, choose

# A file next to the working folder that no parser may read.
SECRET = 'secret.txt'
_TEXTS = ('', ' ', '1', '-1', '0.5', 'nan', 'inf', '1e999', '²', '9' * 5000, 'unicorn', '&amp;', '&#0;', '&lt;', 'dog ')


def drop_a_tag(content: bytes, generator: Generator) -> bytes:
    return _with_one(rb'<[^>]*>', b'', content, generator)


def rename_a_tag(content: bytes, generator: Generator) -> bytes:
    old = choose(re.findall(rb'</(\w+)>', content), generator)
    new = choose((b'objects', b'name', b'object', b'Difficult', b'a:b', b'width'), generator)
    return re.sub(rb'(</?)' + old + rb'>', rb'\1' + new + b'>', content)


def drop_an_element(content: bytes, generator: Generator) -> bytes:
    return _with_one(rb'<(\w+)>[^<]*</\1>', b'', content, generator)


def change_a_text(content: bytes, generator: Generator) -> bytes:
    return _with_one(rb'(?<=>)[^<>]+(?=</)', choose(_TEXTS, generator).encode(), content, generator)


def write_a_text_otherwise(content: bytes, generator: Generator) -> bytes:
    """The same content in other characters."""
    spans = list(re.finditer(rb'(?<=>)[^<>]+(?=</)', content))
    span = choose(spans, generator)
    references = b''.join(b'&#%d;' % byte for byte in span[0])
    other = choose((references, b'<![CDATA[' + span[0] + b']]>', b'<!-- no -->' + span[0]), generator)
    return content[: span.start()] + other + content[span.end() :]


def nest_it_deep(content: bytes, generator: Generator) -> bytes:
    return b'<annotation>' + b'<object>' * 50_000 + b'</object>' * 50_000 + b'</annotation>'


def expand_entities(content: bytes, generator: Generator) -> bytes:
    """A billion laughs, or as many as a parser may just take."""
    levels = int(generator.integers(2, 11))
    entities = ['<!ENTITY e0 "ha">'] + [f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, levels)]
    return _with_document_type(entities, f'&e{levels - 1};', content, generator)


def name_a_file(content: bytes, generator: Generator) -> bytes:
    """An entity whose text another file would give."""
    return _with_document_type([f'<!ENTITY e SYSTEM "{SECRET}">'], '&e;', content, generator)


def declare_an_encoding(content: bytes, generator: Generator) -> bytes:
    encoding = choose(('latin-1', 'utf-16', 'shift_jis', 'no-such-encoding', 'ascii'), generator)
    return f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + content.replace(b'dog', 'été'.encode())


def _with_one(pattern: bytes, replacement: bytes, content: bytes, generator: Generator) -> bytes:
    match = choose(list(re.finditer(pattern, content)), generator)
    return content[: match.start()] + replacement + content[match.end() :]


def _with_document_type(entities: list[str], text: str, content: bytes, generator: Generator) -> bytes:
    changed = _with_one(rb'(?<=<name>)\w+', text.encode(), content, generator)
    return f'<!DOCTYPE annotation [{"".join(entities)}]>'.encode() + changed


_OF_XML = (drop_a_tag, rename_a_tag, drop_an_element, change_a_text, change_a_text, write_a_text_otherwise)
XML = (*TEXT, *2 * _OF_XML, nest_it_deep, expand_entities, expand_entities, name_a_file, declare_an_encoding)
