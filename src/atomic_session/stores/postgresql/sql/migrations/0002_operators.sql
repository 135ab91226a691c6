-- What operators mean on jsonb: `apply` is one update, the others are its parts.
--
-- SQL's NULL is what is missing; None is the JSON null.  A path is an array of names; in an operator it is one text,
-- its names joined by "[", which no name holds.
-- Nothing here reads or writes a table: the functions are immutable, and cost no snapshot; those that only raise are
-- not, lest the planner raise for them.
-- Whoever cannot go on raises: AS001 the operator is refused, with the reason; AS002 a limit would be passed, with the
-- limit, its maximum and what it would be; AS003 only Python knows the answer.

CREATE TYPE "atomic_session".applied AS (
    code   integer,  -- 0 done, 1 a guard does not hold, 2 refused, 7 only Python knows
    data   jsonb,
    taken  jsonb,
    number integer,  -- of the guard or operator that was refused, counted from 0
    reason text
);

CREATE FUNCTION "atomic_session".refuse(reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'AS001', MESSAGE = reason;
END $$;

CREATE FUNCTION "atomic_session".leave_to_python() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'AS003', MESSAGE = 'only Python knows';
END $$;

-- The kind of a value, in Python's words.
CREATE FUNCTION "atomic_session".kind(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'null' THEN 'None'
        WHEN 'boolean' THEN 'bool'
        WHEN 'array' THEN 'list'
        WHEN 'object' THEN 'dict'
        WHEN 'number' THEN CASE WHEN scale(value::numeric) = 0 THEN 'int' ELSE 'float' END
        ELSE CASE left(value #>> '{}', 2)
            WHEN '~d' THEN 'datetime'
            WHEN '~b' THEN 'bytes'
            WHEN '~u' THEN 'UUID'
            WHEN '~n' THEN 'Decimal'
            WHEN '~o' THEN 'ObjectId'
            ELSE 'str'
        END
    END
$$;

-- Paths.

-- The position in a list that a name says, NULL where it says none.
CREATE FUNCTION "atomic_session".place_of(name text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN name ~ '^(0|[1-9][0-9]*)$' THEN least(name::numeric, 1000000000)::integer END;
END $$;

CREATE FUNCTION "atomic_session".child(value jsonb, name text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE jsonb_typeof(value)
        WHEN 'object' THEN value -> name
        WHEN 'array' THEN value -> "atomic_session".place_of(name)
    END;
END $$;

-- What is there, NULL where there is nothing or no way there.
CREATE FUNCTION "atomic_session".look(value jsonb, path text[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR at IN 1 .. cardinality(path) LOOP
        value := "atomic_session".child(value, path[at]);
        EXIT WHEN value IS NULL;
    END LOOP;
    RETURN value;
END $$;

CREATE FUNCTION "atomic_session".no_way(value jsonb, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(value) = 'array' THEN
        PERFORM "atomic_session".refuse(format('on its way is a list, and %L no position in it', name));
    END IF;
    PERFORM "atomic_session".refuse(
        format('on its way is %s, which has nothing inside', "atomic_session".kind(value)));
END $$;

-- What is there, NULL where it could be put; refused where nothing can be.
CREATE FUNCTION "atomic_session".seek(value jsonb, path text[]) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR at IN 1 .. cardinality(path) LOOP
        IF jsonb_typeof(value) <> 'object'
            AND (jsonb_typeof(value) <> 'array' OR "atomic_session".place_of(path[at]) IS NULL)
        THEN
            PERFORM "atomic_session".no_way(value, path[at]);
        END IF;
        value := "atomic_session".child(value, path[at]);
        EXIT WHEN value IS NULL;
    END LOOP;
    RETURN value;
END $$;

-- The value with something new at the rest of the path, from its name number `at` on; NULL is a dict that is missing.
CREATE FUNCTION "atomic_session".placed(value jsonb, path text[], at integer, new jsonb, padding integer)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place integer;
    empty integer;
    inner_value jsonb;
BEGIN
    IF at > cardinality(path) THEN
        RETURN new;
    END IF;
    value := coalesce(value, '{}');
    IF jsonb_typeof(value) = 'object' THEN
        inner_value := "atomic_session".placed(value -> path[at], path, at + 1, new, padding);
        RETURN jsonb_set(value, ARRAY[path[at]], inner_value);
    END IF;
    place := "atomic_session".place_of(path[at]);
    IF jsonb_typeof(value) <> 'array' OR place IS NULL THEN
        PERFORM "atomic_session".no_way(value, path[at]);
    END IF;
    empty := place - jsonb_array_length(value);
    IF empty > padding THEN
        PERFORM "atomic_session".refuse(format('it is more than %s past the end of the list', padding));
    END IF;
    inner_value := "atomic_session".placed(value -> place, path, at + 1, new, padding);
    IF empty < 0 THEN
        RETURN jsonb_set(value, ARRAY[place::text], inner_value);
    END IF;
    RETURN value || to_jsonb(array_fill('null'::jsonb, ARRAY[empty])) || jsonb_build_array(inner_value);
END $$;

-- The value without what is at the rest of the path, which is there; an element of a list becomes None.
CREATE FUNCTION "atomic_session".without(value jsonb, path text[], at integer)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    is_last boolean := at = cardinality(path);
    inner_value jsonb := "atomic_session".child(value, path[at]);
BEGIN
    IF NOT is_last THEN
        RETURN jsonb_set(value, ARRAY[path[at]], "atomic_session".without(inner_value, path, at + 1));
    END IF;
    RETURN CASE jsonb_typeof(value)
        WHEN 'array' THEN jsonb_set(value, ARRAY[path[at]], 'null')
        ELSE value - path[at]
    END;
END $$;

CREATE FUNCTION "atomic_session".passes_list(value jsonb, path text[])
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    FOR at IN 1 .. cardinality(path) - 1 LOOP
        value := "atomic_session".child(value, path[at]);
        IF jsonb_typeof(value) = 'array' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- How many containers are inside each other.
CREATE FUNCTION "atomic_session".height(value jsonb) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    item jsonb;
    most integer := 0;
BEGIN
    IF jsonb_typeof(value) = 'array' THEN
        FOR item IN SELECT * FROM jsonb_array_elements(value) LOOP
            most := greatest(most, "atomic_session".height(item));
        END LOOP;
    ELSIF jsonb_typeof(value) = 'object' THEN
        FOR item IN SELECT each.value FROM jsonb_each(value) AS each LOOP
            most := greatest(most, "atomic_session".height(item));
        END LOOP;
    ELSE
        RETURN 0;
    END IF;
    RETURN most + 1;
END $$;

-- Numbers.

-- A float as the data holds it: exact where an integer of 64 bits might equal it, else by the digits that say it.
-- Of those beyond, Python writes 1e+23 where the server writes 9.999999999999999e+22: they are left to Python, lest one
-- number have two texts.
CREATE FUNCTION "atomic_session".of_float(number double precision)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE SET extra_float_digits = 1 AS $$
DECLARE
    exact numeric;
BEGIN
    IF abs(number) >= 9223372036854775808 THEN
        PERFORM "atomic_session".leave_to_python();
    ELSIF abs(number) >= 9007199254740992 THEN
        exact := number::bigint;
    ELSE
        exact := number::text::numeric;
    END IF;
    RETURN to_jsonb(CASE WHEN scale(exact) = 0 THEN exact + 0.0 ELSE exact END);
END $$;

-- A sum, or a product.  Floats that could leave the range of floats are left to Python, before the server raises.
CREATE FUNCTION "atomic_session".calculated(old jsonb, operand jsonb, multiplies boolean)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    a numeric;
    b numeric;
    exact numeric;
BEGIN
    IF jsonb_typeof(old) <> 'number' THEN
        PERFORM "atomic_session".refuse(format('it is %s, not int or float', "atomic_session".kind(old)));
    END IF;
    a := old::numeric;
    b := operand::numeric;
    IF scale(a) = 0 AND scale(b) = 0 THEN
        exact := CASE WHEN multiplies THEN a * b ELSE a + b END;
        IF exact NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            PERFORM "atomic_session".refuse('the result does not fit into 64 bits');
        END IF;
        RETURN to_jsonb(exact);
    END IF;
    IF NOT multiplies THEN
        IF greatest(abs(a), abs(b)) > 8e307 THEN
            PERFORM "atomic_session".leave_to_python();
        END IF;
        RETURN "atomic_session".of_float(a::double precision + b::double precision);
    END IF;
    IF greatest(abs(a), abs(b)) > 1e150 OR a <> 0 AND b <> 0 AND least(abs(a), abs(b)) < 1e-150 THEN
        PERFORM "atomic_session".leave_to_python();
    END IF;
    RETURN "atomic_session".of_float(a::double precision * b::double precision);
END $$;

-- The operand where it is less (-1) or greater (1) than what is there, as `wanted` says; NULL where it is not.
CREATE FUNCTION "atomic_session".ranked(old jsonb, operand jsonb, wanted integer)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    there text;
BEGIN
    IF jsonb_typeof(operand) = 'number' THEN
        IF jsonb_typeof(old) <> 'number' THEN
            PERFORM "atomic_session".refuse(format('it is %s, not int or float', "atomic_session".kind(old)));
        END IF;
        RETURN CASE WHEN sign(operand::numeric - old::numeric) = wanted THEN operand END;
    END IF;
    there := old #>> '{}';
    IF jsonb_typeof(old) <> 'string' OR left(there, 2) <> '~d' THEN
        PERFORM "atomic_session".refuse(format('it is %s, not datetime', "atomic_session".kind(old)));
    END IF;
    RETURN CASE
        WHEN wanted < 0 AND (operand #>> '{}') COLLATE "C" < there COLLATE "C" THEN operand
        WHEN wanted > 0 AND (operand #>> '{}') COLLATE "C" > there COLLATE "C" THEN operand
    END;
END $$;

-- Equality is jsonb's: numbers by value, dicts in any order, true is not 1.  A Decimal is a text to it, so what might
-- be a Decimal and a number, or two Decimals, is left to Python.
CREATE FUNCTION "atomic_session".uncertain(there jsonb, operand jsonb)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN operand::text ~ '[0-9]' AND (
        strpos(there::text, '"~n') > 0 OR strpos(operand::text, '"~n') > 0 AND there::text ~ '[0-9]');
END $$;

-- Lists.

CREATE FUNCTION "atomic_session".slice(list jsonb, start integer, stop integer)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_agg(item ORDER BY place), '[]')
      FROM jsonb_array_elements(list) WITH ORDINALITY AS items (item, place)
     WHERE place > start AND place <= stop
$$;

CREATE FUNCTION "atomic_session".pushed(list jsonb, items jsonb, at bigint, keep bigint)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    count integer := jsonb_array_length(list);
    place integer;
    result jsonb;
BEGIN
    IF at IS NULL OR at >= count THEN
        result := list || items;
    ELSE
        place := CASE WHEN at < 0 THEN greatest(count + at, 0) ELSE at END;
        result := "atomic_session".slice(list, 0, place) || items || "atomic_session".slice(list, place, count);
    END IF;
    count := jsonb_array_length(result);
    IF keep < count THEN
        result := "atomic_session".slice(result, count - keep::integer, count);
    END IF;
    RETURN result;
END $$;

CREATE FUNCTION "atomic_session".added(list jsonb, items jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    item jsonb;
BEGIN
    IF "atomic_session".uncertain(list, items)
        OR jsonb_array_length(items) > 1 AND "atomic_session".uncertain(items, items)
    THEN
        PERFORM "atomic_session".leave_to_python();
    END IF;
    FOR item IN SELECT * FROM jsonb_array_elements(items) LOOP
        IF NOT EXISTS (SELECT FROM jsonb_array_elements(list) AS there WHERE there = item) THEN
            list := list || jsonb_build_array(item);
        END IF;
    END LOOP;
    RETURN list;
END $$;

CREATE FUNCTION "atomic_session".pulled(list jsonb, items jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF "atomic_session".uncertain(list, items) THEN
        PERFORM "atomic_session".leave_to_python();
    END IF;
    RETURN (
        SELECT coalesce(jsonb_agg(there ORDER BY place), '[]')
          FROM jsonb_array_elements(list) WITH ORDINALITY AS elements (there, place)
         WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(items) AS item WHERE item = there)
    );
END $$;

CREATE FUNCTION "atomic_session".pulled_where(list jsonb, wanted jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF "atomic_session".uncertain(list, wanted) THEN
        PERFORM "atomic_session".leave_to_python();
    END IF;
    RETURN (
        SELECT coalesce(jsonb_agg(there ORDER BY place), '[]')
          FROM jsonb_array_elements(list) WITH ORDINALITY AS elements (there, place)
         WHERE jsonb_typeof(there) <> 'object'
            OR EXISTS (SELECT FROM jsonb_each(wanted) AS each WHERE there -> each.key IS DISTINCT FROM each.value)
    );
END $$;

-- Operators.

-- What an operator makes of what is there, NULL where nothing changes.  Its operands follow its path.
CREATE FUNCTION "atomic_session".changed(verb text, old jsonb, operator jsonb)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    operand jsonb := operator -> 2;
BEGIN
    IF verb = 'inc' THEN
        RETURN CASE WHEN old IS NULL THEN operand ELSE "atomic_session".calculated(old, operand, false) END;
    ELSIF verb = 'mul' THEN
        RETURN CASE WHEN old IS NULL THEN operator -> 3 ELSE "atomic_session".calculated(old, operand, true) END;
    ELSIF verb = 'min' THEN
        RETURN CASE WHEN old IS NULL THEN operand ELSE "atomic_session".ranked(old, operand, -1) END;
    ELSIF verb = 'max' THEN
        RETURN CASE WHEN old IS NULL THEN operand ELSE "atomic_session".ranked(old, operand, 1) END;
    ELSIF verb = 'set_default' THEN
        RETURN CASE WHEN old IS NULL THEN operand END;
    END IF;
    IF old IS NULL AND verb IN ('push', 'add_to_set') THEN
        old := '[]';
    ELSIF old IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(old) <> 'array' THEN
        PERFORM "atomic_session".refuse(format('it is %s, not list', "atomic_session".kind(old)));
    END IF;
    RETURN CASE verb
        WHEN 'push' THEN
            "atomic_session".pushed(old, operand, (operator ->> 3)::bigint, (operator ->> 4)::bigint)
        WHEN 'add_to_set' THEN "atomic_session".added(old, operand)
        WHEN 'pull_all' THEN "atomic_session".pulled(old, operand)
        WHEN 'pull_where' THEN "atomic_session".pulled_where(old, operand)
        WHEN 'pop_first' THEN old - 0
        WHEN 'pop_last' THEN old - -1
    END;
END $$;

CREATE FUNCTION "atomic_session".renamed(data jsonb, source text[], target text[], padding integer, depth integer)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    value jsonb := "atomic_session".seek(data, source);
    level integer;
BEGIN
    IF value IS NULL THEN
        RETURN data;
    END IF;
    IF "atomic_session".passes_list(data, source) OR "atomic_session".passes_list(data, target) THEN
        PERFORM "atomic_session".refuse('an element of a list cannot be renamed, nor anything inside one');
    END IF;
    level := cardinality(target) + "atomic_session".height(value);
    IF level > depth THEN
        RAISE EXCEPTION USING ERRCODE = 'AS002', MESSAGE = format('depth %s %s', depth, level);
    END IF;
    data := "atomic_session".placed(data, target, 1, value, padding);
    RETURN "atomic_session".without(data, source, 1);
END $$;

-- Says whether a guard holds; without a value it asks for nothing there.
CREATE FUNCTION "atomic_session".holds(there jsonb, wanted jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF there IS NULL OR wanted IS NULL THEN
        RETURN there IS NULL AND wanted IS NULL;
    END IF;
    IF "atomic_session".uncertain(there, wanted) THEN
        PERFORM "atomic_session".leave_to_python();
    END IF;
    RETURN there = wanted;
END $$;

-- The operators from `number` on, as `apply` has them.
CREATE FUNCTION "atomic_session".apply_rest(
    data jsonb, list jsonb, number integer, start integer, padding integer, depth integer
) RETURNS "atomic_session".applied LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result "atomic_session".applied;
    count integer := jsonb_array_length(list);
    operator jsonb;
    verb text;
    path text[];
    new jsonb;
BEGIN
    WHILE number < count LOOP
        operator := list -> number;
        verb := operator ->> 0;
        path := string_to_array(operator ->> 1, '[');
        IF verb = 'set' THEN
            new := operator -> 2;
        ELSIF verb = 'unset' OR verb = 'take' THEN
            new := NULL;
            IF verb = 'take' THEN
                result.taken := "atomic_session".look(data, path);
            END IF;
            IF cardinality(path) = 1 THEN
                data := data - path[1];
            ELSIF "atomic_session".look(data, path) IS NOT NULL THEN
                data := "atomic_session".without(data, path, 1);
            END IF;
        ELSIF verb = 'when' THEN
            new := NULL;
            IF NOT "atomic_session".holds("atomic_session".look(data, path), operator -> 2) THEN
                result.code := 1;
                RETURN result;
            END IF;
        ELSIF verb = 'rename' THEN
            new := NULL;
            data := "atomic_session".renamed(data, path, string_to_array(operator ->> 2, '['), padding, depth);
        ELSIF verb = 'replace' THEN
            new := NULL;
            data := operator -> 2;
        ELSE
            new := "atomic_session".changed(verb, "atomic_session".seek(data, path), operator);
        END IF;
        IF new IS NOT NULL THEN
            data := CASE WHEN cardinality(path) = 1 THEN jsonb_set(data, path, new)
                         ELSE "atomic_session".placed(data, path, 1, new, padding) END;
        END IF;
        number := number + 1;
    END LOOP;
    result.code := 0;
    result.data := data;
    RETURN result;
EXCEPTION
    WHEN SQLSTATE 'AS001' OR SQLSTATE 'AS002' THEN
        result.code := 2;
        result.number := CASE WHEN SQLSTATE = 'AS001' THEN number - start END;
        result.reason := SQLERRM;
        result.taken := NULL;
        RETURN result;
    WHEN SQLSTATE 'AS003' THEN
        result.code := 7;
        result.taken := NULL;
        RETURN result;
END $$;

-- Parameters: data; guards and operators in their order, each [verb, path, operand...], from number `start` of a list
--             on; the most padding and depth.
-- Result:     the data as it is then, all changed or nothing.
CREATE FUNCTION "atomic_session".apply(data jsonb, list jsonb, start integer, padding integer, depth integer)
RETURNS "atomic_session".applied LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    result "atomic_session".applied;
    number integer := start;
    count integer := jsonb_array_length(list);
    operator jsonb;
    path text[];
    old jsonb;
    new jsonb;
BEGIN
    -- What most updates consist of cannot be refused, and needs none of what an exception costs.
    LOOP
        operator := list -> number;
        path := string_to_array(operator ->> 1, '[');
        old := data -> path[1];
        new := CASE
            WHEN cardinality(path) <> 1 THEN NULL
            WHEN operator ->> 0 = 'set' THEN operator -> 2
            WHEN operator ->> 0 = 'inc' AND jsonb_typeof(old) = 'number' AND scale(old::numeric) = 0
                AND scale((operator -> 2)::numeric) = 0
                AND abs(old::numeric + (operator -> 2)::numeric) < 9223372036854775807
            THEN to_jsonb(old::numeric + (operator -> 2)::numeric)
        END;
        EXIT WHEN new IS NULL;
        data := jsonb_set(data, path, new);
        number := number + 1;
    END LOOP;
    IF number < count THEN
        RETURN "atomic_session".apply_rest(data, list, number, start, padding, depth);
    END IF;
    result.code := 0;
    result.data := data;
    RETURN result;
END $$;
